"""The command line: ``main`` finds the commands of ``lab.cli.commands`` and runs one."""

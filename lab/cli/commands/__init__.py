"""One module a subcommand. Each has ``NAME``, ``HELP``, ``add_arguments`` and ``run``."""

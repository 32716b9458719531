"""What subcommands take, apart from their work where that loads much: help does not wait for it."""

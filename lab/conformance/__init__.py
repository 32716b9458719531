"""What an 82574L must do, as checks that run against any model of it, and the real one."""

"""Foreign programs and foreign stacks against ours: what each exchange was to show, and what it showed."""

"""The cable: where frames come from and go to."""

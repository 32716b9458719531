"""The stepper: stop at a descriptor, look, go on, go back."""

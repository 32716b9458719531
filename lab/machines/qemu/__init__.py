"""QEMU: which one to run, with what arguments, on which accelerator, and the running process."""

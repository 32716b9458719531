"""A client of QEMU's qtest: one device of QEMU, driven from here with no CPU and a clock that we move."""

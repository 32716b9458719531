"""What binds a serving card's process: one module a mechanism of the kernel. ``device.hardening`` applies them."""

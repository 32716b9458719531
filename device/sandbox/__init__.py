"""What binds a serving card's process, one module a mechanism; ``device.hardening`` applies them."""

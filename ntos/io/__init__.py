"""The I/O system: requests (IRPs), drivers, devices, files and names; completions. No I/O is done here."""

"""Where our TCP/IP meets wires: a virtual one for tests, TAP devices, and namespaces with Linux."""

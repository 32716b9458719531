"""The PCI function: configuration space and capabilities."""

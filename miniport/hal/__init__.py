"""What HAL is to a driver: registers, DMA memory, interrupts, configuration space; over four buses."""

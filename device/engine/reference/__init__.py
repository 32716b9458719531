"""The reference engine: readable, steppable, the judge of the native one."""

from device.engine.reference.engine import ReferenceEngine

__all__ = ["ReferenceEngine"]

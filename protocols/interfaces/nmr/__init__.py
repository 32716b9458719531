"""The Network Module Registrar: brings clients and providers of a network programming interface together."""

from protocols.interfaces.nmr.modules import Attached, ModuleId, NpiId, RegistrationInstance
from protocols.interfaces.nmr.registrar import Nmr

__all__ = ["Attached", "ModuleId", "Nmr", "NpiId", "RegistrationInstance"]

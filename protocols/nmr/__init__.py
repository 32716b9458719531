"""The Network Module Registrar: brings clients and providers of a network programming interface together."""

from protocols.nmr.modules import Attached, ModuleId, NpiId, RegistrationInstance
from protocols.nmr.registrar import Nmr

__all__ = ["Attached", "ModuleId", "Nmr", "NpiId", "RegistrationInstance"]

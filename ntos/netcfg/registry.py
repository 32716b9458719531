"""The part of the registry that the binding engine reads and writes: keys, values and their types."""

from __future__ import annotations

from dataclasses import dataclass, field

Value = str | int | bytes | tuple[str, ...]

SERVICES = r"SYSTEM\CurrentControlSet\Services"
EVENT_LOG = SERVICES + r"\EventLog\System"
CLASS = r"SYSTEM\CurrentControlSet\Control\Class"
NETWORK = r"SYSTEM\CurrentControlSet\Control\Network"


@dataclass(slots=True)
class Registry:
    """HKEY_LOCAL_MACHINE. Paths and names compare without case and keep the first spelling.

    A str is REG_SZ, an int REG_DWORD, bytes REG_BINARY, a tuple REG_MULTI_SZ.
    """

    _keys: dict[str, tuple[str, dict[str, tuple[str, Value]]]] = field(default_factory=dict)

    def set(self, path: str, name: str, value: Value) -> None:
        """Write a value; the key is made when it is missing."""
        _spelling, values = self._keys.setdefault(path.lower(), (path, {}))
        old = values.get(name.lower())
        values[name.lower()] = (old[0] if old else name, value)

    def get(self, path: str, name: str) -> Value | None:
        """Read a value; None when there is none."""
        key = self._keys.get(path.lower())
        found = key[1].get(name.lower()) if key else None
        return found[1] if found else None

    def strings(self, path: str, name: str) -> tuple[str, ...]:
        """Read a REG_MULTI_SZ, or a REG_SZ as one of one string; empty when there is none."""
        value = self.get(path, name)
        if isinstance(value, str):
            return (value,)
        return value if isinstance(value, tuple) else ()

    def delete(self, path: str) -> None:
        """Remove a key and what is below it."""
        prefix = path.lower()
        for key in [k for k in self._keys if k == prefix or k.startswith(prefix + "\\")]:
            del self._keys[key]

    def delete_value(self, path: str, name: str) -> None:
        """Remove a value, if it is there."""
        key = self._keys.get(path.lower())
        if key:
            key[1].pop(name.lower(), None)

    def keys(self, path: str) -> list[str]:
        """Return the names of the keys right below ``path``, in order."""
        prefix = path.lower() + "\\"
        depth = path.count("\\") + 1
        names = {
            spelling.split("\\")[depth] for key, (spelling, _) in self._keys.items() if key.startswith(prefix)
        }
        return sorted(names, key=str.lower)

    def values(self, path: str) -> dict[str, Value]:
        """Return the values of a key."""
        key = self._keys.get(path.lower())
        return {name: value for name, value in key[1].values()} if key else {}  # noqa: C416 - the pairs are renamed

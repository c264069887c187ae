"""Switches of the sandbox, with their defaults and what they mean."""

from __future__ import annotations

from typing import Any


class Settings(dict[str, Any]):
    """A dictionary that knows its keys: vendors `define` theirs, `change` refuses others."""

    def __init__(self) -> None:
        super().__init__()
        self._defaults: dict[str, Any] = {}
        self.help: dict[str, str] = {}

    def define(self, name: str, default: Any, text: str) -> None:
        """Make a switch known."""
        self._defaults[name] = self[name] = default
        self.help[name] = text

    def change(self, values: dict[str, Any]) -> None:
        """Set switches; LookupError names the unknown ones and changes nothing.

        A null sets the default again. A value must be of its default's type.
        """
        unknown = sorted(set(values) - set(self._defaults))
        if unknown:
            raise LookupError(f"no setting {', '.join(unknown)}; there are {', '.join(sorted(self._defaults))}")
        for name, value in values.items():
            default = self._defaults[name]
            kind = (int, float) if isinstance(default, float) else type(default)
            if value is not None and default is not None and not isinstance(value, kind):
                raise ValueError(f"{name} takes a value like {default!r}")
        self.update({n: self._defaults[n] if v is None else v for n, v in values.items()})

    def restore(self) -> None:
        """All defaults again."""
        self.update(self._defaults)

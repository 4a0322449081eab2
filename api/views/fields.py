"""Views that say the same as something else, and more."""

from __future__ import annotations

from typing import Any

from msgspec import Struct


def same_fields(kind: type[Struct], value: Struct) -> dict[str, Any]:
    """What `value` has under the names of the fields of `kind`."""
    return {name: getattr(value, name) for name in kind.__struct_fields__}

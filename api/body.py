"""Request bodies: JSON into a Struct, or a complaint that names the field."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from api.errors import InvalidRequest

T = TypeVar("T")
_AT_PATH = re.compile(r"(?P<what>.*) - at `(?P<path>[^`]*)`", re.DOTALL)
_FIELD = re.compile(r"Object (missing required|contains unknown) field `(?P<field>[^`]*)`")


def decode(data: bytes, kind: type[T]) -> T:
    """`data` as a `kind`.

    Raises:
        InvalidRequest: it is not JSON (and where), or not a `kind` (which field, and what was expected).
    """
    if not data.strip():
        raise InvalidRequest("expected a JSON body, got none")
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidRequest(explain(str(error))) from None
    except msgspec.DecodeError as error:
        raise InvalidRequest(str(error)) from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not UTF-8 (byte {error.start})") from None
    except RecursionError:
        raise InvalidRequest("the body is nested too deep") from None


def explain(complaint: str) -> str:
    """msgspec's complaint with the field's path first: ``ports[0].container_port: expected `int`, got `str```."""
    match = _AT_PATH.fullmatch(complaint)
    what, path = (match["what"], match["path"]) if match else (complaint, "$")
    path = path.removeprefix("key in ").removeprefix("$").removeprefix(".")
    about_field = _FIELD.fullmatch(what)
    if about_field:
        path = f"{path}.{about_field['field']}" if path else about_field["field"]
        what = "required, but missing" if "missing" in what else "unknown field"
    what = what[:1].lower() + what[1:]
    return f"{path}: {what}" if path else what

"""The reference as cases: `reference/*.yaml` hold what it says of each operation, and how to ask for it live.

What a case says beside the transcription stands under `live`:

status      the status of a success (200)
given       operations that are done before, by heading, with the request of their example
before      requests that make way for the example, whatever their answers
variables   the path's variables: a text, `world.<name>`, or `<heading>.<field>` of what was given
values      values of the query parameters; what a list is filtered by must then hold for all of its items
fields      a filter's field, where it is called otherwise
body        replaces parts of the request's example
required    the fields of the body without which it is refused
open        unknown fields of the body are passed over
own         fields of the body whose content is answered on its own, not by the whole
echoes      fields of the answer with their values
errors      requests that are refused: path variables, body, status, code, and what the message names
nullable    fields of the answer that may be null, `empty` lists that may be, `numbers` that may be fractions: `why`
public      no credentials are needed; `viewer`: a viewer may do it
stream      the answer does not end; `token: fresh` asks with a token of its own
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct, field

REFERENCE = Path(__file__).parent / "reference"


class Refused(Struct, frozen=True, forbid_unknown_fields=True):
    status: int
    code: str
    body: dict[str, Any] | None = None
    again: bool = False
    names: str = ""


class Step(Struct, frozen=True, forbid_unknown_fields=True):
    method: str
    path: str
    body: dict[str, Any] | None = None


class Live(Struct, frozen=True, forbid_unknown_fields=True):
    status: int = 200
    given: list[str] = field(default_factory=list)
    before: list[Step] = field(default_factory=list)
    after: list[Step] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    values: dict[str, str] = field(default_factory=dict)
    fields: dict[str, str] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    required: list[str] = field(default_factory=list)
    open: bool = False
    own: list[str] = field(default_factory=list)
    echoes: dict[str, Any] = field(default_factory=dict)
    errors: list[Refused] = field(default_factory=list)
    nullable: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    why: str = ""
    public: bool = False
    viewer: bool = False
    stream: bool = False
    token: str = ""


class Operation(Struct, frozen=True, forbid_unknown_fields=True):
    """One operation. `response` is the example of the envelope's `data`, `raw` of all of a JSON answer, or `text`."""

    heading: str
    method: str
    path: str
    parameters: dict[str, str] = field(default_factory=dict)
    request: dict[str, Any] | None = None
    response: dict[str, Any] | None = None
    raw: dict[str, Any] | None = None
    text: str | None = None
    live: Live = Live()

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def list_key(self) -> str | None:
        """The name of the items, where the answer is a list."""
        if self.method != "GET" or self.response is None or "{" in self.path.rpartition("/")[2]:
            return None
        lists = [key for key, value in self.response.items() if isinstance(value, list)]
        others = [key for key in self.response if key not in lists and key != "total"]
        return lists[0] if len(lists) == 1 and not others else None


@cache
def operations() -> tuple[Operation, ...]:
    """All of them, in the order of the files."""
    return tuple(
        operation
        for path in sorted(REFERENCE.glob("*.yaml"))
        if path.name != "headings.yaml"
        for operation in msgspec.convert(yaml.safe_load(path.read_text()), list[Operation])
    )


@cache
def by_heading() -> dict[str, Operation]:
    return {operation.heading: operation for operation in operations()}


class Heading(Struct, frozen=True, forbid_unknown_fields=True):
    """A heading of the reference: an operation has a case, a convention has tests, a group has only what follows."""

    heading: str
    operation: str | None = None
    tests: list[str] = field(default_factory=list)
    group: bool = False


@cache
def headings() -> tuple[Heading, ...]:
    content = yaml.safe_load((REFERENCE / "headings.yaml").read_text())
    return tuple(msgspec.convert(content, list[Heading]))

"""Several commands as one: each sees what those before it did, and one refusal undoes all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from consensus.commands import Batch
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome, Batched, Refusal, invalid

Apply = Callable[[Draft, Any], AnyOutcome]


def apply(draft: Draft, command: Batch, apply_command: Apply) -> AnyOutcome:
    outcomes = []
    for number, part in enumerate(command.commands):
        outcome = invalid("batches do not nest") if isinstance(part, Batch) else apply_command(draft, part)
        if isinstance(outcome, Refusal):
            return replace(outcome, operation=number)
        if not isinstance(outcome, Batched):
            outcomes.append(outcome)
    return Batched(outcomes=outcomes)

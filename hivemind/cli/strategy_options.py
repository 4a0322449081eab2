"""The flags that say how an app is changed, and what they mean as a `strategy` of the API."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

_TYPES = ("simple", "rolling-update", "blue-green", "canary", "ab-testing")
_FIELDS = (
    "max_surge",
    "max_unavailable",
    "order",
    "batch_delay",
    "monitor",
    "min_healthy",
    "progress_deadline",
    "max_failure_ratio",
    "on_failure",
    "verification_timeout",
    "keep_old",
    "percentage",
    "steps",
    "interval",
    "promotion",
    "duration",
    "winner",
)
_HOOKS = ("pre", "post", "rollback")
_OPTIONS = (
    click.option("--strategy", type=click.Choice(_TYPES), help="How to get there (default: the app's, or rolling)."),
    click.option("--max-surge", help="Rolling: replicas more than wanted at a time, or percents."),
    click.option("--max-unavailable", help="Rolling: replicas fewer than wanted at a time, or percents."),
    click.option("--order", type=click.Choice(["start-first", "stop-first"])),
    click.option("--batch-delay", help="Rolling: pause between batches."),
    click.option("--monitor", help="Rolling: how long the last batch is watched."),
    click.option("--min-healthy", help="A replica counts when it has been healthy for so long."),
    click.option("--progress-deadline", help="Without progress for so long it has failed."),
    click.option("--max-failure-ratio", type=click.FloatRange(0, 1)),
    click.option("--on-failure", type=click.Choice(["pause", "continue", "rollback"])),
    click.option("--verification-timeout", help="Blue-green: how long the new set may take."),
    click.option("--keep-old", help="Blue-green: how long the old set stays for a rollback."),
    click.option("--percentage", type=click.IntRange(1, 99), help="Canary: of the first step."),
    click.option("--steps", metavar="N|P,P,…", help="Canary: how many steps, or their percentages."),
    click.option("--interval", help="Canary: pause between steps."),
    click.option("--promotion", type=click.Choice(["health", "manual", "failure-ratio"])),
    click.option("--variant", "variants", multiple=True, metavar="[NAME=]IMAGE@PERCENT", help="A/B: one variant."),
    click.option("--duration", help="A/B: how long the variants compete."),
    click.option("--winner", type=click.Choice(["health", "manual"])),
    click.option("--pre-hook", help="A shell command that is run once before anything changes."),
    click.option("--post-hook", help="A shell command that is run once when all has changed."),
    click.option("--rollback-hook", help="A shell command that is run once when all is as it was."),
)


def strategy_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them; `strategy_body` takes what they give out of the command's options."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def strategy_body(options: dict[str, Any], base: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
    """The API's `strategy`: `base` overlaid by the flags, or by those alone where they name another kind. None where
    there is neither; removes the flags from `options`.

    Raises click.UsageError for what cannot be understood.
    """
    kind, variants = options.pop("strategy"), options.pop("variants")
    fields = {name: value for name in _FIELDS if (value := options.pop(name)) is not None}
    hooks = {name: {"command": text} for name in _HOOKS if (text := options.pop(f"{name}_hook")) is not None}
    if hooks:
        fields["hooks"] = hooks
    base = base or {}
    if kind not in (None, base.get("type")):
        base = {}
    if kind is None and not fields and not variants:
        return dict(base) or None
    for name in ("max_surge", "max_unavailable"):
        if name in fields and fields[name].isdecimal():
            fields[name] = int(fields[name])
    if "steps" in fields:
        fields["steps"] = _steps(fields["steps"])
    if variants:
        fields["variants"] = [_variant(text) for text in variants]
    return {"type": kind or "rolling-update", **base, **fields}


def _steps(text: str) -> int | list[int]:
    try:
        numbers = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise click.UsageError(f"--steps: expected a number or percentages such as 10,50, got {text!r}") from error
    return numbers[0] if len(numbers) == 1 else numbers


def _variant(text: str) -> dict[str, Any]:
    rest, at, percent = text.rpartition("@")
    if not at or not percent.removesuffix("%").isdecimal():
        raise click.UsageError(f"--variant: expected [NAME=]IMAGE@PERCENT, got {text!r}")
    name, equals, image = rest.rpartition("=")
    return {"image": image, "percentage": int(percent.removesuffix("%")), **({"name": name} if equals else {})}

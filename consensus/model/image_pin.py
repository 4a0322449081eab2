"""Which images a strategy names besides its app's, and the strategy with what was found under those names."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from consensus.model.hook import Hook, Hooks
from consensus.model.image import ImageFound, is_open, settled
from consensus.model.strategy import ABTesting, Strategy, Variant


def open_images(strategy: Strategy | None) -> list[str]:
    """The names of those where nothing says yet which images they are."""
    named: list[Variant | Hook] = list(strategy.variants) if isinstance(strategy, ABTesting) else []
    if strategy is not None and strategy.hooks is not None:
        named += _hooks(strategy.hooks).values()
    return [one.image for one in named if one.image is not None and is_open(one)]


def settled_strategy(strategy: Strategy, found: Mapping[str, ImageFound]) -> Strategy:
    hooks = strategy.hooks
    if hooks is not None:
        known = {name: settled(hook, found) for name, hook in _hooks(hooks).items()}
        strategy = replace(strategy, hooks=replace(hooks, **known))
    if isinstance(strategy, ABTesting):
        strategy = replace(strategy, variants=[settled(variant, found) for variant in strategy.variants])
    return strategy


def _hooks(hooks: Hooks) -> dict[str, Hook]:
    return {name: hook for name in Hooks.__struct_fields__ if (hook := hooks.named(name)) is not None}

"""Which digests a deployment needs besides its spec's own, and the strategy with them."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from consensus.model.hook import Hook, Hooks
from consensus.model.image import digest_in
from consensus.model.strategy import ABTesting, Strategy, Variant


def open_images(strategy: Strategy | None) -> list[str]:
    """The images that it names itself, where nothing says yet which those are."""
    named: list[Variant | Hook] = list(strategy.variants) if isinstance(strategy, ABTesting) else []
    if strategy is not None and strategy.hooks is not None:
        named += [hook for hook in map(strategy.hooks.named, Hooks.__struct_fields__) if hook is not None]
    return [one.image for one in named if one.image is not None and not one.image_digest and not digest_in(one.image)]


def with_digests(strategy: Strategy, digests: Mapping[str, str]) -> Strategy:
    """`digests` by image; what it names with a digest keeps that."""
    hooks = strategy.hooks
    if hooks is not None:
        found = {name: hook for name in Hooks.__struct_fields__ if (hook := hooks.named(name)) is not None}
        hooks = replace(hooks, **{name: _hook(hook, digests) for name, hook in found.items()})
        strategy = replace(strategy, hooks=hooks)
    if isinstance(strategy, ABTesting):
        variants = [
            replace(variant, image_digest=variant.image_digest or digests.get(variant.image, ""))
            for variant in strategy.variants
        ]
        strategy = replace(strategy, variants=variants)
    return strategy


def _hook(hook: Hook, digests: Mapping[str, str]) -> Hook:
    return hook if hook.image is None else replace(hook, image_digest=hook.image_digest or digests.get(hook.image, ""))

"""Which images a deploy means: their registries are asked once, at the node that takes the request.

The digest becomes part of what is stored, so that all replicas run the same image, whenever and wherever they start.
An image is asked for where it is given: with a deploy, with each PUT of a whole spec that names no `image_digest`, with
a deployment's `image`, and with the images of its hooks and variants. Scaling, restarts, rollbacks, and deployments
that change other things keep the digest that is there.

A registry that cannot be asked keeps nobody from deploying: an image that the app has already stays the one that it
was; another goes on by its tag, and each node finds out by itself what that means. The answer's `warnings` say so.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

import trio
from msgspec import Struct
from msgspec.structs import replace

from api.call import Call
from api.deps import ImageUnresolved, ResolveImage
from consensus.features import FIELDS_SINCE
from consensus.model.app_spec import AppSpec
from consensus.model.image import ImageFound, is_open
from consensus.model.image_pin import open_images, settled_strategy
from consensus.model.strategy import Strategy
from consensus.model.workload import WorkloadSpec

W = TypeVar("W", bound=WorkloadSpec)


class Pins(Struct, frozen=True):
    """`found` by name; `warnings` say of which nothing is known, or what was known before, and why."""

    found: dict[str, ImageFound]
    warnings: list[str]

    def strategy(self, given: Strategy | None, default: Strategy | None = None) -> Strategy | None:
        """`given`, or `default` where that has images of its own: of those that were asked for."""
        wanted = given or default
        if wanted is None or self.found.keys().isdisjoint(open_images(wanted)):
            return given
        return settled_strategy(wanted, self.found)


def asked_anew(spec: W, before: WorkloadSpec | None) -> W:
    """`spec` without a digest that belongs to another image: whoever edits the spec of before may leave it there."""
    taken_over = before is not None and spec.image != before.image and spec.image_digest == before.image_digest
    if not spec.image_digest or not taken_over:
        return spec
    return replace(spec, image_digest="", image_architectures=[])


def images_of(spec: WorkloadSpec, strategy: Strategy | None = None) -> list[str]:
    """What is to be asked for before `spec` is deployed by `strategy`."""
    if not spec.resolve_image:
        return []
    return [*([spec.image] if is_open(spec) else []), *open_images(strategy)]


async def ask(call: Call, images: Iterable[str], before: WorkloadSpec | None = None) -> Pins:
    """All side by side. `before`: the spec whose place is taken."""
    found: dict[str, ImageFound] = {}
    failures: dict[str, str] = {}

    async def ask_for(resolve: ResolveImage, image: str) -> None:
        try:
            meant = await resolve(image)
        except ImageUnresolved as error:
            failures[image] = str(error)
        else:
            if meant is not None:
                found[image] = meant

    resolve = call.deps.resolve_image
    if resolve is not None:
        async with trio.open_nursery() as nursery:
            for image in dict.fromkeys(images):
                nursery.start_soon(ask_for, resolve, image)
    if found and call.state.feature_level < FIELDS_SINCE[AppSpec, "image_digest"]:
        failures |= dict.fromkeys(found, "not all nodes are upgraded")
        found = {}
    return _with_failures(found, failures, before)


def _with_failures(found: dict[str, ImageFound], failures: dict[str, str], before: WorkloadSpec | None) -> Pins:
    warnings = []
    for image, reason in sorted(failures.items()):
        if before is not None and before.image == image and before.image_digest:
            found = {**found, image: ImageFound(before.image_digest, before.image_architectures)}
            warnings.append(f"image {image} stays at {before.image_digest}: {reason}")
        else:
            warnings.append(f"image {image} is not pinned to a digest, and nodes may run different ones: {reason}")
    return Pins(found, warnings)

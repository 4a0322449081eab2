"""Names of images, and which image a name meant when it was deployed: what its registry had under it.

Source: the reference grammar of the distribution project, ``[HOST[:PORT]/]PATH[:TAG][@DIGEST]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Protocol, TypeVar

from msgspec import Meta, Struct
from msgspec.structs import replace

Digest = Annotated[str, Meta(pattern=r"^(sha256:[0-9a-f]{64})?$")]
"""Of a manifest, or of the index over those of several architectures. "": not known."""
Architectures = list[Annotated[str, Meta(min_length=1, max_length=32)]]
"""Which the registry has it for, as images call them (GOARCH). Empty: not known."""

_HUB = "docker.io"


class ImageFound(Struct, frozen=True):
    """What a registry has under a name."""

    digest: str
    architectures: list[str]


class NamesImage(Protocol):
    """What names an image, and may say which one that is."""

    @property
    def image(self) -> str | None: ...
    @property
    def image_digest(self) -> str: ...
    @property
    def image_architectures(self) -> list[str]: ...


N = TypeVar("N", bound=NamesImage)


def is_open(one: NamesImage) -> bool:
    """Whether it names an image, and nothing says yet which one that is."""
    return one.image is not None and not one.image_digest and not digest_in(one.image)


def settled(one: N, found: Mapping[str, ImageFound]) -> N:
    """`one` with what was `found` under its image's name; what says it itself stays."""
    if one.image is None or one.image not in found or not is_open(one):
        return one
    meant = found[one.image]
    # All that name images are Structs; no type says that of a protocol.
    return replace(one, image_digest=meant.digest, image_architectures=meant.architectures)  # type: ignore[type-var]


def image_fields(one: NamesImage) -> dict[str, Any]:
    """The name, and which image that is: these only go together."""
    names = ("image", "image_digest", "image_architectures")
    return {name: getattr(one, name) for name in names}


def digest_in(image: str) -> str:
    """The digest that the name itself has; "" where it has none."""
    return image.partition("@")[2]


def known_digest(image: str, digest: str) -> str | None:
    """`digest`, or the one that the name itself has; None where nobody knows."""
    return digest or digest_in(image) or None


def pinned(image: str, digest: str) -> str:
    """The name of exactly that image. Engines look for the digest then, and keep the tag for people to read."""
    return f"{image}@{digest}" if digest else image


def repository(image: str) -> str:
    """Where it is, in full and without tag and digest: ``docker.io/library/nginx`` for ``nginx:1.27``."""
    folder, slash, last = image.partition("@")[0].rpartition("/")
    name = folder + slash + last.partition(":")[0]
    host, slash, path = name.partition("/")
    if not slash or not ("." in host or ":" in host or host == "localhost"):
        host, path = _HUB, name
    if host == _HUB and "/" not in path:
        path = f"library/{path}"
    return f"{host}/{path}"


def digest_problems(one: NamesImage) -> Iterator[tuple[str, str]]:
    """Pairs of field and what was expected there."""
    for name in ("image_digest", "image_architectures"):
        if getattr(one, name) and one.image is None:
            yield name, "expected image with it"
    if one.image_digest and one.image is not None and digest_in(one.image) not in ("", one.image_digest):
        yield "image_digest", f"expected none, or the one of the image's name, got {one.image_digest}"

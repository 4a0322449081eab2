"""Names of images, and the digests that say which image a name meant when it was deployed.

Source: the reference grammar of the distribution project, ``[HOST[:PORT]/]PATH[:TAG][@DIGEST]``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta

Digest = Annotated[str, Meta(pattern=r"^(sha256:[0-9a-f]{64})?$")]
"""Of a manifest, or of the index over those of several architectures, in its registry. "": none."""

_HUB = "docker.io"


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


def digest_problems(field: str, image: str | None, digest: str) -> Iterator[tuple[str, str]]:
    """Of a digest that was given in the field beside `image`."""
    if digest and image is None:
        yield field, "expected image with it"
    elif digest and image is not None and digest_in(image) not in ("", digest):
        yield field, f"expected none, or the one of the image's name, got {digest}"

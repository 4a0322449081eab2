"""What is wrong with the parts of a container's spec that are plain text: pairs of field and what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def image_problems(field: str, image: str) -> Iterator[tuple[str, str]]:
    """Which images there are, only an engine knows."""
    if not image.isprintable() or any(character.isspace() for character in image):
        yield field, f"expected the name of an image such as nginx:1.27, got {image!r}"


def env_problems(field: str, env: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            yield field, f"expected variable names without '=', got {name!r}"
        elif "\0" in value:
            yield field, f"expected values without zero bytes, got one in {name}"

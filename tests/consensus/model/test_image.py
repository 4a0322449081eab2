"""Names of images (the distribution project's reference grammar), and what a deployment must still ask for."""

from __future__ import annotations

import pytest

from consensus.model.deployment import Change
from consensus.model.hook import Hook, Hooks
from consensus.model.image import ImageFound, digest_in, digest_problems, known_digest, pinned, repository, settled
from consensus.model.image_pin import open_images, settled_strategy
from consensus.model.strategy import ABTesting, RollingUpdate, Variant

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.mark.parametrize(
    ("image", "where"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("nginx:1.27", "docker.io/library/nginx"),
        ("docker.io/nginx", "docker.io/library/nginx"),
        ("team/web:1", "docker.io/team/web"),
        ("localhost/web", "localhost/web"),
        ("localhost:5000/web", "localhost:5000/web"),
        ("127.0.0.1:5000/team/web:1", "127.0.0.1:5000/team/web"),
        ("quay.io/team/web:1@" + ONE, "quay.io/team/web"),
        ("nginx@" + ONE, "docker.io/library/nginx"),
    ],
)
def test_where_an_image_is(image: str, where: str) -> None:
    assert repository(image) == where


def test_the_digest_beside_a_name_or_in_it() -> None:
    assert digest_in(f"nginx:1@{ONE}") == ONE
    assert digest_in("localhost:5000/nginx:1") == ""
    assert known_digest("nginx:1", ONE) == ONE
    assert known_digest(f"nginx:1@{ONE}", "") == ONE
    assert known_digest("nginx:1", "") is None
    assert pinned("nginx:1", ONE) == f"nginx:1@{ONE}"
    assert pinned(f"nginx:1@{ONE}", "") == f"nginx:1@{ONE}"


def _problems(image: str | None, digest: str, *architectures: str) -> list[tuple[str, str]]:
    return list(digest_problems(Change(image=image, image_digest=digest, image_architectures=[*architectures])))


def test_a_digest_that_contradicts() -> None:
    words = f"expected none, or the one of the image's name, got {TWO}"
    assert _problems(f"nginx@{ONE}", TWO) == [("image_digest", words)]
    without = "expected image with it"
    assert _problems(None, TWO, "amd64") == [("image_digest", without), ("image_architectures", without)]
    assert _problems(f"nginx@{ONE}", ONE, "amd64") == _problems("nginx", ONE) == _problems(None, "") == []


def test_what_was_found_settles_what_is_open() -> None:
    found = {"web:1": ImageFound(ONE, ["amd64", "arm64"])}
    for change, digest in (
        (Change(image="web:1"), ONE),
        (Change(image="web:2"), ""),
        (Change(), ""),
        (Change(image="web:1", image_digest=TWO), TWO),
    ):
        told = settled(change, found)
        assert (told.image, told.image_digest) == (change.image, digest)
        assert told.image_architectures == (["amd64", "arm64"] if digest == ONE else [])


def test_what_a_strategy_names_is_asked_for_and_keeps_what_it_says_itself() -> None:
    hooks = Hooks(
        pre=Hook(command="migrate", image="migrate:1"),
        post=Hook(command="true"),
        rollback=Hook(command="undo", image="undo:1", image_digest=TWO),
    )
    variants = [Variant(image="web:1", percentage=50), Variant(image=f"web@{TWO}", percentage=50, name="other")]
    strategy = ABTesting(variants=variants, hooks=hooks)
    assert open_images(strategy) == ["web:1", "migrate:1"]
    found = settled_strategy(strategy, dict.fromkeys(("web:1", "migrate:1", "undo:1"), ImageFound(ONE, ["amd64"])))
    assert isinstance(found, ABTesting)
    assert [variant.image_digest for variant in found.variants] == [ONE, ""]
    assert found.hooks is not None
    told = [hooks_one and hooks_one.image_digest for hooks_one in (found.hooks.pre, found.hooks.post)]
    assert told == [ONE, ""]
    assert found.hooks.rollback == hooks.rollback
    assert open_images(found) == []
    assert open_images(RollingUpdate()) == open_images(None) == []

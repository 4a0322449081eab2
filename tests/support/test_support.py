from __future__ import annotations

import io
import json
import secrets
import socket
import tarfile
from collections.abc import Iterator

import pytest

from tests.support.addresses import free_addresses, is_free
from tests.support.engine_api import EngineApi
from tests.support.images import BUSYBOX_IMAGE, busybox_archive
from tests.support.waiting import NeverHappened, wait_until, wait_until_async


@pytest.mark.docker
def test_the_busybox_archive_is_reproducible_and_names_its_image() -> None:
    archive = busybox_archive()
    assert archive == busybox_archive()
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        manifest_file = tar.extractfile("manifest.json")
        assert manifest_file is not None
        manifest = json.load(manifest_file)
    assert manifest[0]["RepoTags"] == [BUSYBOX_IMAGE]


def test_wait_until_fails_with_the_last_value() -> None:
    with pytest.raises(NeverHappened, match=r"a leader did not come.*\[\]"):
        wait_until(list, 0.05, "a leader", poll_s=0.01)


def test_wait_until_takes_the_named_errors_for_not_yet() -> None:
    answers: Iterator[int | Exception] = iter([ConnectionRefusedError(), 7])

    def ask() -> int:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert wait_until(ask, 1.0, errors=(OSError,), poll_s=0.001) == 7


async def test_wait_until_async() -> None:
    async def never() -> bool:
        return False

    with pytest.raises(NeverHappened):
        await wait_until_async(never, 0.02, poll_s=0.005)


def test_free_addresses_avoid_what_is_taken() -> None:
    addresses = free_addresses(3)
    assert len(set(addresses)) == 3
    with socket.socket() as taken:
        taken.bind((addresses[0], 0))
        taken.listen()
        assert not is_free(addresses[0], taken.getsockname()[1])


@pytest.mark.docker
def test_what_carries_a_label_is_removed_and_nothing_else(docker_host: str) -> None:
    engine = EngineApi(docker_host)
    mine, other = ({"test": secrets.token_hex(4)} for _ in range(2))
    for labels in (mine, other):
        spec = {"Image": BUSYBOX_IMAGE, "Cmd": ["sleep", "60"], "Labels": labels}
        container = engine.call("POST", "/containers/create", spec)["Id"]
        engine.call("POST", f"/containers/{container}/start")
        engine.call("POST", "/volumes/create", {"Labels": labels})
    assert engine.remove_containers(mine) == 1
    engine.remove_volumes(mine)
    assert (len(engine.containers(mine)), len(engine.containers(other))) == (0, 1)
    assert engine.remove_containers(other) == 1
    engine.remove_volumes(other)

"""Issue 4: a full disk is told by its own code, reading goes on, and the node recovers by itself."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.support.cluster import Cluster
from tests.support.leaders import NOT_YET
from tests.support.small_disk import small_disk
from tests.support.waiting import wait_until

SIZE_BYTES = 24 * 1024 * 1024


def fill(folder: Path) -> Path:
    """A file that takes all the room there is."""
    balloon = folder / "balloon"
    with balloon.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return balloon


@pytest.mark.lab
def test_a_daemon_with_a_full_disk_goes_on_reading_and_recovers_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with (
        small_disk(folder, SIZE_BYTES),
        Cluster(nodes=1, data_dir=folder, options=["--leader-wait", "1"]) as cluster,
        cluster.client(1, timeout_s=30) as client,
    ):
        name = cluster.node(1).name

        def write(text: str) -> httpx2.Response:
            return client.put(f"/api/nodes/{name}/labels", json={"labels": {"text": text}})

        assert write("before").status_code == 200
        balloon = fill(folder)
        refused = wait_until(
            lambda: answer if (answer := write("x" * 1000)).status_code == 503 else None, 30, "writes are refused"
        )
        assert refused.json()["error"]["code"] == "storage_full"
        assert "Retry-After" in refused.headers
        assert client.get(f"/api/nodes/{name}").status_code == 200
        assert cluster.node(1).is_running()
        balloon.unlink()
        wait_until(lambda: write("after").status_code == 200, 30, "writes go on by themselves", errors=NOT_YET)
        assert client.get(f"/api/nodes/{name}").json()["data"]["labels"]["text"] == "after"

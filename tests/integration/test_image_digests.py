"""A tag is pinned when it is deployed (design.md §7): real daemons, real containers, and a registry whose tags move."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

import pytest

from tests.support.apps import NOT_YET, containers
from tests.support.cluster import Cluster
from tests.support.engine_api import EngineApi
from tests.support.registry import Registry
from tests.support.waiting import wait_until

pytestmark = pytest.mark.docker

_QUICK = {"type": "rolling-update", "monitor": 0, "min_healthy": 0}


class Site:
    """An app of one image on a cluster whose nodes share an engine."""

    def __init__(self, cluster: Cluster, engine: EngineApi, registry: Registry) -> None:
        self.cluster, self.engine, self.registry = cluster, engine, registry
        self.tag = f"t{secrets.token_hex(4)}:1"
        self.image = f"{registry.host}/{self.tag}"
        command = ["sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait"]
        self.body = {"name": "web", "image": self.image, "command": command, "update_strategy": _QUICK}

    def ask(self, number: int, method: str, path: str, body: Any = None) -> Any:
        with self.cluster.client(number, timeout_s=30) as client:
            answer = client.request(method, f"/api{path}", json=body)
            assert answer.status_code < 300, answer.text
            return answer.json()["data"]

    def wait_for(self, versions: dict[str, int], digest: str) -> None:
        """Until so many replicas run of each version, as their own environment says, all of that digest."""

        def there() -> bool:
            shown = containers(self.cluster, 1, "web")
            if any(item["status"] != "running" or item["image_digest"] != digest for item in shown):
                return False
            found: dict[str, int] = {}
            for item in shown:
                env = self.engine.call("GET", f"/containers/{item['engine_id']}/json")["Config"]["Env"]
                version = next(text for text in env if text.startswith("VERSION="))
                found[version] = found.get(version, 0) + 1
            return found == {f"VERSION={name}": count for name, count in versions.items()}

        wait_until(there, 30.0, f"{versions} run", errors=NOT_YET, poll_s=0.1)

    def settle(self) -> None:
        """Until its deployment has ended."""
        wait_until(lambda: self.ask(1, "GET", "/apps/web")["deployment_id"] is None, 30.0, "it is over", poll_s=0.1)


def test_replicas_stay_at_the_digest_until_the_image_is_given_anew(docker_host: str, tmp_path: Path) -> None:
    engine = EngineApi(docker_host)
    with (
        Registry() as registry,
        Cluster(nodes=2, data_dir=tmp_path / "cluster", runtime="docker", docker_host=docker_host) as cluster,
    ):
        site = Site(cluster, engine, registry)
        old, foreign = registry.push(site.tag, VERSION="old"), f"f{site.tag}"
        try:
            site.ask(1, "POST", "/deploy", site.body | {"replicas": 1})
            site.wait_for({"old": 1}, old)
            # The tag moves on; replicas that start now, also on the other node, are of the image of before.
            new = registry.push(site.tag, VERSION="new")
            site.ask(2, "POST", "/scale", {"name": "web", "replicas": 2})
            site.wait_for({"old": 2}, old)
            assert len({item["node_id"] for item in containers(cluster, 1, "web")}) == 2
            # Given anew, the same tag is a rollout; the way back is to the old digest.
            site.ask(1, "PUT", "/apps/web", site.body | {"replicas": 2})
            site.wait_for({"new": 2}, new)
            site.settle()
            site.ask(2, "POST", "/apps/web/rollback")
            site.wait_for({"old": 2}, old)
            site.settle()
            # What no node can run is not even tried.
            registry.push(foreign, architectures=("s390x",))
            site.ask(1, "POST", "/deploy", {"name": "foreign", "image": f"{registry.host}/{foreign}"})
            words = "no node fits: 2 nodes of another architecture than the image's (s390x)"
            wait_until(lambda: [c["message"] for c in containers(cluster, 1, "foreign")] == [words], 30.0, words)
            registry.close()
            answer = site.ask(2, "PUT", "/apps/web", site.body | {"replicas": 1, "env": {"A": "1"}})
            (warning,) = answer["warnings"]
            assert warning.startswith(f"image {site.image} stays at {old}: ")
            assert "connection refused" in warning
            site.wait_for({"old": 1}, old)
        finally:
            cluster.stop()
            for digest in (old, new):
                engine.request("DELETE", f"/images/{site.image.removesuffix(':1')}@{digest}?force=1")

"""Schemathesis over /api/openapi.json, against a live cluster. Run by scripts/schema_fuzz."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support.cluster import Cluster, clean_environment

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)
LEFT_OUT = (
    "/stream/events",  # does not end
    "/nodes/{node_id}",
    "/nodes/{node_id}/leave",  # the cluster must be there to the end
    "/nodes/{node_id}/maintenance",
    "/users/{user_id}",  # and so must who asks
    "/users/{user_id}/password",
    "/users/{user_id}/role",
    "/auth/logout",
    "/auth/rotate-keys",
)
REQUEST_TIMEOUT_S = 20
PROGRAM = os.environ.get("HIVEMIND_SCHEMATHESIS")


@pytest.mark.soak
@pytest.mark.skipif(PROGRAM is None, reason="run by scripts/schema_fuzz, which installs schemathesis")
def test_every_answer_is_as_the_document_says(tmp_path: Path) -> None:
    """At a follower: what it does not answer itself it forwards."""
    assert PROGRAM is not None
    seconds = os.environ.get("HIVEMIND_SCHEMA_SECONDS", "600")
    with Cluster(data_dir=tmp_path / "cluster", nodes=3) as cluster:
        with cluster.client(1) as client:
            key = client.post("/api/auth/api-keys", json={"name": "fuzz"}).json()["data"]["key"]
            known = _filled(cluster, client)
        left_out = "|".join(path.replace("{", r"\{").replace("}", r"\}") for path in LEFT_OUT)
        argv = [
            *(PROGRAM, "run", f"{cluster.node(2).url}/api/openapi.json"),
            *("--header", f"Authorization: Bearer {key}"),
            *("--checks", ",".join(CHECKS)),
            *("--max-time", seconds),
            *("--request-timeout", str(REQUEST_TIMEOUT_S)),
            *("--phases", "examples,coverage,fuzzing"),
            *("--continue-on-failure", "--no-color"),
            *("--exclude-path-regex", f"^(/api)?({left_out})$"),
        ]
        hooks = {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(Path(__file__).parent)}
        hooks["HIVEMIND_SCHEMA_VALUES"] = json.dumps(known)
        done = subprocess.run(argv, env={**clean_environment(), **hooks}, cwd=tmp_path, capture_output=True, text=True)
        print(done.stdout[-20_000:], done.stderr[-5_000:])
        assert done.returncode == 0, "schemathesis found what is told above"
        assert all(node.is_running() for node in cluster.nodes)
        cluster.wait_ready([1, 2, 3])


def _filled(cluster: Cluster, client: httpx2.Client) -> dict[str, str]:
    """Something of each kind; answers what it is called, by the path's variable."""

    def made(path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = client.post(f"/api{path}", json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json()["data"])

    spec = {"name": "known", "image": "busybox", "command": ["sleep", "36000"], "ports": [{"container_port": 80}]}
    app = made("/deploy", spec)
    made("/volumes/create", {"name": "known"})
    made("/roles", {"name": "known", "permissions": [{"verb": "read", "resource": "apps"}]})
    made("/groups", {"name": "known", "roles": ["known"], "members": ["admin"]})
    deployment = made("/deployments", {"app_name": "known", "replicas": 2})
    return {
        "app_name": "known",
        "service_name": "known",
        "volume_name": "known",
        "role_name": "known",
        "group_name": "known",
        "container_id": app["container_ids"][0],
        "id": deployment["id"],
        "node_id": cluster.node(3).name,
    }

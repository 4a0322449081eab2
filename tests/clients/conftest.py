"""One live three-node cluster for the clients' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster


@pytest.fixture(scope="package")
def three_nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Every node has the label that the reference's deploy asks for. Tests leave all nodes running."""
    with Cluster(data_dir=tmp_path_factory.mktemp("clients"), nodes=3, options=["--label", "role=frontend"]) as cluster:
        yield cluster


@pytest.fixture(scope="package")
def admin_token(three_nodes: Cluster) -> str:
    body = {"username": "admin", "password": three_nodes.admin_password}
    with three_nodes.client(1) as client:
        return str(client.post("/api/auth/login", json=body).json()["data"]["token"])

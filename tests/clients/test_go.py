"""The Go client (api/clients/go): the two programs of the reference, unchanged, and all operations, live.

The programs say http://localhost:4483. They run in a mount namespace of their own in which /etc/hosts says that
localhost is a node of the test's cluster.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from api.routes import all_routes
from tests.support.cluster import Cluster, Node, clean_environment

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "api/clients/go"
PROGRAMS = Path(__file__).parent / "go"
NOT_FOR_PROGRAMS = {"GET /docs", "GET /openapi.json", "POST /graphql", "DELETE /volumes/{}"}
IN_STREAMS = {
    "GET /stream/events",
    "GET /containers/{}/logs",
    "GET /apps/{}/logs",
    "GET /jobs/{}/runs/{}/logs",
    "GET /volumes/{}/backup",
    "PUT /volumes/{}/restore",
    "GET /cluster/backup",
}

Run = Callable[..., subprocess.CompletedProcess[str]]


def _environment(folder: Path) -> dict[str, str]:
    """Nothing is downloaded; what is built is kept where Go keeps it."""
    return {
        **clean_environment(),
        "GOFLAGS": "-mod=mod",
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
        "GOCACHE": os.environ.get("GOCACHE") or str(Path.home() / ".cache/go-build"),
        "HOME": str(folder),
    }


def _go(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["go", *arguments],
        cwd=MODULE,
        env={**_environment(folder), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
    )


def _built(folder: Path, name: str) -> Path:
    """A program of the reference as a user builds it: in the module, from the text as it stands."""
    copy = folder / "module"
    if not copy.exists():
        shutil.copytree(MODULE, copy)
    shutil.copytree(PROGRAMS / name, copy / "programs" / name)
    program = folder / name
    argv = ["go", "build", "-o", str(program), f"./programs/{name}"]
    done = subprocess.run(argv, cwd=copy, env=_environment(folder), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return program


def _run_at(node: Node, program: Path, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    hosts = folder / "hosts"
    hosts.write_text(f"{node.address} localhost\n")
    own_namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--mount"]
    script = f"mount --bind {hosts} /etc/hosts && exec {program}"
    return subprocess.run(
        [*own_namespace, "sh", "-c", script],
        env={**_environment(folder), **more},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.go
def test_the_programs_of_the_reference(three_nodes: Cluster, admin_token: str, tmp_path: Path) -> None:
    """Deploy takes the token from the environment, Scale the one that `hivemind login` kept."""
    deployed = _run_at(three_nodes.node(2), _built(tmp_path, "deploy"), tmp_path, HIVEMIND_TOKEN=admin_token)
    assert deployed.returncode == 0, deployed.stderr
    lines = deployed.stdout.splitlines()
    assert lines[0] == "App ID: web-server"
    assert re.fullmatch(r"Container IDs: \[\S+ \S+\]", lines[1])
    assert lines[2:] == ["Service ID: web.local", "Message: Application deployed successfully"]

    scale = _built(tmp_path, "scale")
    refused = _run_at(three_nodes.node(3), scale, tmp_path)
    assert refused.returncode == 1
    assert "Scaling failed: " in refused.stderr
    assert "401" in refused.stderr
    (tmp_path / ".hivemind").mkdir()
    (tmp_path / ".hivemind/token").write_text(admin_token + "\n")
    scaled = _run_at(three_nodes.node(3), scale, tmp_path)
    assert scaled.returncode == 0, scaled.stderr
    assert scaled.stdout.splitlines() == [
        "Previous replicas: 2",
        "New replicas: 5",
        "Message: Application scaled successfully",
    ]
    again = _run_at(three_nodes.node(1), tmp_path / "deploy", tmp_path)
    assert again.returncode == 1
    assert "Deployment failed: app 'web-server' exists already" in again.stderr
    with three_nodes.client(1) as client:
        assert client.delete("/api/apps/web-server").status_code == 200


@pytest.mark.go
def test_the_library(three_nodes: Cluster, admin_token: str, tmp_path: Path) -> None:
    """Its own tests, the one against a live cluster too."""
    servers = ",".join(node.url for node in three_nodes.nodes)
    done = _go(tmp_path, "test", "-count=1", "./...", HIVEMIND_TEST_SERVERS=servers, HIVEMIND_TOKEN=admin_token)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.go
def test_it_is_tidy(tmp_path: Path) -> None:
    assert subprocess.run(["gofmt", "-l", MODULE], capture_output=True, text=True, check=True).stdout == ""
    vetted = _go(tmp_path, "vet", "./...")
    assert vetted.returncode == 0, vetted.stderr


def test_it_needs_nothing_but_the_standard_library() -> None:
    assert "require" not in (MODULE / "go.mod").read_text()
    imports = {
        name
        for path in MODULE.rglob("*.go")
        for name in re.findall(r'^\s+"([^"]+)"$', path.read_text(), re.MULTILINE)
        if "." in name.partition("/")[0]
    }
    assert imports == {"github.com/ao/hivemind/pkg/api/types"}


def test_every_operation_of_the_api_has_a_method() -> None:
    asked = set(IN_STREAMS)
    for path in (MODULE / "pkg/client").glob("*.go"):
        for method, expression in re.findall(r"c, (?:(get|post|put|patch|remove), )?(\"/.*)", path.read_text()):
            asked.add(f"{_METHODS[method]} {_path_of(expression)}")
        for method, expression in re.findall(r"(?:Do|ask)\(ctx, (get|post), (\".*)", path.read_text()):
            asked.add(f"{_METHODS[method]} {_path_of(expression)}")
    routes = {re.sub(r"\{\w+\}", "{}", route.name) for route in all_routes()}
    assert not routes - asked - NOT_FOR_PROGRAMS


_METHODS = {"get": "GET", "post": "POST", "put": "PUT", "patch": "PATCH", "remove": "DELETE", "": "GET"}


def _path_of(expression: str) -> str:
    """`"/apps/"+part(name)+"/rollback", body)` → `/apps/{}/rollback`."""
    match = re.match(r'("[^"]*"|part\([\w.]+\)|\+)+', expression)
    assert match is not None, expression
    path = re.sub(r"part\([\w.]+\)", "{}", match[0]).replace('"', "").replace("+", "")
    return path.partition("?")[0]

"""The command line as its users meet it: options, wrong input, output. The API is the test's own."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import httpx2
import pytest
import yaml
from click.testing import CliRunner, Result

from consensus.durable import private_file
from hivemind.cli.exits import Exit
from hivemind.cli.main import cli
from hivemind.cli.session import Session
from hivemind.client import Client

Hivemind = Callable[..., Result]
VOLUMES = [
    {"name": f"v{number}", "size": None, "type": "local", "used_by": [], "created_at": "2025-06-01T12:00:00Z"}
    for number in range(3)
]


DIGEST = "sha256:" + "0123456789abcdef" * 4


class Api:
    """Answers as the API does; keeps what was asked."""

    def __init__(self) -> None:
        self.asked: list[httpx2.Request] = []

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/api")
        if path == "/volumes":
            offset = int(request.url.params["offset"])
            pages = {"next_offset": offset + 1 if offset < 2 else None}
            return _good({"volumes": VOLUMES[offset : offset + 1], "total": 3, "pagination": pages})
        if path == "/deploy":
            assert request.url.params.get("dry_run") == "true"
            planned = {"node_id": "n1", "message": "score 0.50", "score": {"total": 0.5}}
            return _good({"app_id": "web", "placements": [planned], "preempted": ["low.1.0"], "message": "1 of 1"})
        if path == "/deployments":
            return _good({"id": "deployment-1", "app_name": "web", "message": "Deployment created successfully"})
        if path == "/apps/web/history":
            spec = {"name": "web", "image": "web:1", "image_digest": DIGEST}
            entry = {"number": 1, "image": "web:1", "image_digest": DIGEST, "current": True, "reason": "deployed"}
            return _good({"revisions": [entry | {"created_at": "2025-06-01T12:00:00Z", "spec": spec}]})
        if path == "/apps/web" and request.method == "PUT":
            return _good({"name": "web", "deployment_id": "d1", "message": "Done", "warnings": ["it is not pinned"]})
        if path == "/apps/web":
            return _good({"name": "web", "replicas": 2})
        if path == "/volumes/create":
            return _good({"name": json.loads(request.content)["name"], "message": "Volume created successfully"})
        if path == "/health":
            nodes = {"status": "healthy", "total": 1, "healthy": 1, "unhealthy": 0}
            alerts = {"critical": 1, "warning": 0, "info": 0}
            return _good({"status": "healthy", "leader": "n1", "components": {"nodes": nodes}, "alerts": alerts})
        error = {"code": "resource_not_found", "message": "there is no such thing"}
        return httpx2.Response(404, json={"success": False, "error": error})


def _good(data: Any) -> httpx2.Response:
    return httpx2.Response(200, json={"success": True, "data": data})


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def hivemind(api: Api, monkeypatch: pytest.MonkeyPatch) -> Hivemind:
    def client(session: Session, *, anonymous: bool = False) -> Client:
        transport = httpx2.MockTransport(api)
        credentials = None if anonymous else session.credentials
        return Client(*session.servers, credentials=credentials, transport=transport)

    monkeypatch.setattr(Session, "client", client)
    for name in ("HIVEMIND_SERVER", "HIVEMIND_TOKEN", "HIVEMIND_USERNAME", "HIVEMIND_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    return lambda *arguments, **env: CliRunner().invoke(cli, arguments, env=env)


def test_every_command_says_what_it_does() -> None:
    def walk(command: click.Command, name: str) -> Iterator[str]:
        if not command.help:
            yield name
        for inner, each in (command.commands if isinstance(command, click.Group) else {}).items():
            yield from walk(each, f"{name} {inner}")

    assert not list(walk(cli, "hivemind"))


def test_who_asks_for_help_waits_for_no_library() -> None:
    """What only some commands need is imported by those."""
    program = "import sys, hivemind.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"httpx2", "trio", "rich", "nacl", "hypercorn", "quart"} & set(done.stdout.split())


def test_a_file_is_whole_or_not_there_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "backup"
    with contextlib.suppress(OSError), private_file(path) as file:
        file.write(b"half of it")
        raise OSError("the connection broke")
    assert not list(tmp_path.iterdir())
    for content in (b"one", b"another"):
        with private_file(path) as file:
            file.write(content)
            assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
        assert path.read_bytes() == content
    assert list(tmp_path.iterdir()) == [path]


def test_a_list_is_all_of_it(hivemind: Hivemind, api: Api) -> None:
    """Also where it does not fit on a page."""
    found = hivemind("volume", "ls", "-o", "json")
    assert json.loads(found.stdout) == VOLUMES
    assert [request.url.params["offset"] for request in api.asked] == ["0", "1", "2"]


def test_a_table_in_a_pipe_is_not_folded(hivemind: Hivemind) -> None:
    lines = hivemind("volume", "ls").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.strip().startswith("v")] == ["v0", "v1", "v2"]
    assert "None" not in "".join(lines)
    assert "[]" not in "".join(lines)


def test_a_deployment_is_its_file_overlaid_by_the_flags(hivemind: Hivemind, api: Api, tmp_path: Path) -> None:
    """It took flags only."""
    file = tmp_path / "deployment.yaml"
    canary = {"type": "canary", "percentage": 10}
    whole = {"app_name": "web", "image": "web:2", "strategy": canary, "environment": {"A": "1", "B": "2"}}
    file.write_text(yaml.safe_dump(whole))
    for flags, changed in (
        ([], {}),
        (["api", "--replicas", "3"], {"app_name": "api", "replicas": 3}),
        (["-e", "B=3", "-l", "tier=front"], {"environment": {"A": "1", "B": "3"}, "labels": {"tier": "front"}}),
        (["--interval", "5m"], {"strategy": {**canary, "interval": "5m"}}),
        (["--strategy", "simple"], {"strategy": {"type": "simple"}}),
    ):
        found = hivemind("deployment", "create", "-f", str(file), *flags)
        assert found.exit_code == 0, found.output
        assert json.loads(api.asked[-1].content) == {**whole, **changed}, flags


@pytest.mark.parametrize(
    ("content", "flags", "told"),
    [
        (b"image: web:2", [], "APP_NAME is needed (or `app_name` in the file)"),
        (b"app_name: [", [], "is neither YAML nor JSON"),
        (b"\xff\xfe\x00", [], "is neither YAML nor JSON"),
        (b"- web", [], "expected a mapping, the body of the request"),
        (b"{app_name: web, strategy: canary}", [], "strategy: expected a mapping in the file, got 'canary'"),
        (b"{app_name: web, labels: [a]}", ["-l", "b=c"], "labels: expected a mapping in the file, got ['a']"),
        (None, [], "Is a directory"),
    ],
)
def test_a_file_that_is_no_deployment_is_refused(
    hivemind: Hivemind, api: Api, tmp_path: Path, content: bytes | None, flags: list[str], told: str
) -> None:
    file = tmp_path if content is None else tmp_path / "file"
    if content is not None:
        file.write_bytes(content)
    found = hivemind("deployment", "create", "-f", str(file), *flags)
    assert (found.exit_code, api.asked) == (Exit.USAGE, [])
    assert told in found.output


def test_output_as_yaml(hivemind: Hivemind) -> None:
    found = hivemind("volume", "create", "data", "--output", "yaml")
    assert yaml.safe_load(found.stdout) == {"name": "data", "message": "Volume created successfully"}


def test_status_is_a_table(hivemind: Hivemind) -> None:
    found = hivemind("status").stdout
    assert "1 critical" in found
    assert "COMPONENT" in found
    assert json.loads(hivemind("status", "-o", "json").stdout)["alerts"] == {"critical": 1, "warning": 0, "info": 0}


@pytest.mark.parametrize(
    ("arguments", "env", "host", "token"),
    [
        (["volume", "ls"], {}, "127.0.0.1", None),
        (["volume", "ls"], {"HIVEMIND_SERVER": "http://env:1", "HIVEMIND_TOKEN": "e"}, "env", "e"),
        (
            ["--server", "http://outer:1", "--token", "o", "volume", "ls"],
            {"HIVEMIND_SERVER": "http://env:1"},
            "outer",
            "o",
        ),
        (["--server", "http://outer:1", "volume", "ls", "--server", "http://inner:1"], {}, "inner", None),
        (["volume", "ls", "--server", "http://first:1,http://second:1"], {}, "first", None),
    ],
)
def test_where_options_count(
    hivemind: Hivemind, api: Api, arguments: list[str], env: dict[str, str], host: str, token: str | None, tmp_path: Any
) -> None:
    assert hivemind(*arguments, HOME=str(tmp_path), **env).exit_code == 0
    assert api.asked[0].url.host == host
    assert api.asked[0].headers.get("Authorization") == (None if token is None else f"Bearer {token}")


@pytest.mark.parametrize("server", ["node-1", "node-1:4483", "ftp://node-1", "http://a:1,b"])
def test_a_server_is_a_url(hivemind: Hivemind, server: str) -> None:
    for arguments in (["--server", server, "status"], ["status", "--server", server]):
        found = hivemind(*arguments)
        assert found.exit_code == Exit.USAGE
        assert "expected a URL" in found.output


def test_what_is_not_there(hivemind: Hivemind) -> None:
    found = hivemind("service", "info", "nope")
    assert found.exit_code == Exit.NOT_FOUND
    assert found.stderr == "hivemind: there is no such thing\n"
    assert found.stdout == ""


def test_wrong_input_names_the_flag(hivemind: Hivemind, api: Api) -> None:
    for arguments, named in (
        (["--port", "abc"], "--port"),
        (["--env", "X"], "--env"),
        (["--volume", "data"], "--volume"),
        (["--autoscale", "2-many@50"], "--autoscale"),
        ([], "--name"),
    ):
        found = hivemind("app", "deploy", "--image", "x", *(["--name", "a"] if arguments else []), *arguments)
        assert found.exit_code == Exit.USAGE
        assert named in found.output
    assert api.asked == []


def test_a_plan_is_a_dry_run_and_tells_where_and_why(hivemind: Hivemind) -> None:
    result = hivemind("app", "plan", "--name", "web", "--image", "busybox")
    assert result.exit_code == 0, result.output
    for word in ("n1", "0.5", "score 0.50", "low.1.0", "1 of 1"):
        assert word in result.output


def test_the_flags_of_a_deploy_make_its_body(hivemind: Hivemind, api: Api) -> None:
    flags = ["--autoscale", "2-10@60", "--depends-on", "db", "--depends-on", "cache:started"]
    flags += ["--min-available", "50%", "--reschedule-after", "5m", "--keep-lost", "--stop-grace-period", "30s"]
    flags += ["--toleration", "gpu", "--toleration", "tier=gold:NoExecute"]
    assert hivemind("app", "plan", "--name", "web", "--image", "busybox", *flags).exit_code == 0
    assert json.loads(api.asked[0].content) == {
        "name": "web",
        "image": "busybox",
        "autoscale": {"min": 2, "max": 10, "cpu_target": 60},
        "depends_on": [{"app": "db", "condition": "healthy"}, {"app": "cache", "condition": "started"}],
        "min_available": "50%",
        "reschedule_after": "5m",
        "keep_lost": True,
        "stop_grace_period": "30s",
        "tolerations": [
            {"key": "gpu", "operator": "Exists"},
            {"key": "tier", "operator": "Equal", "value": "gold", "effect": "NoExecute"},
        ],
    }


@pytest.mark.parametrize("before", [(), ("--",)])
def test_exec_takes_a_command_with_and_without_dashes_before_it(
    hivemind: Hivemind, monkeypatch: pytest.MonkeyPatch, before: tuple[str, ...]
) -> None:
    ran: list[tuple[str, ...]] = []

    def run(session: Session, container_id: str, command: tuple[str, ...], **how: bool) -> int:
        ran.append((container_id, *command))
        return 0

    monkeypatch.setattr("hivemind.cli.exec_terminal.run", run)
    done = hivemind("container", "exec", "web.1", *before, "ls", "--", "-l")
    assert (done.exit_code, ran) == (0, [("web.1", "ls", "--", "-l")])


@pytest.mark.parametrize(
    ("flags", "digest"),
    [(("--env", "A=1"), DIGEST), (("--image", "web:1"), None), (("--no-resolve-image",), DIGEST)],
)
def test_an_update_asks_for_the_image_anew_where_it_is_given(
    hivemind: Hivemind, api: Api, flags: tuple[str, ...], digest: str | None
) -> None:
    assert hivemind("app", "update", "web", "--detach", *flags).exit_code == 0
    body = json.loads(api.asked[-1].content)
    assert (body["image"], body.get("image_digest")) == ("web:1", digest)
    assert body.get("resolve_image") is (False if "--no-resolve-image" in flags else None)


def test_warnings_are_told_apart_from_the_answer(hivemind: Hivemind) -> None:
    found = hivemind("app", "update", "web", "--detach")
    assert (found.stderr, "not pinned" in found.stdout) == ("warning: it is not pinned\n", False)
    found = hivemind("app", "update", "web", "--detach", "-o", "json")
    assert (found.stderr, json.loads(found.stdout)["warnings"]) == ("", ["it is not pinned"])


def test_the_history_shows_digests_as_engines_do(hivemind: Hivemind) -> None:
    assert " 0123456789ab " in hivemind("app", "history", "web").stdout
    assert json.loads(hivemind("app", "history", "web", "-o", "json").stdout)[0]["image_digest"] == DIGEST

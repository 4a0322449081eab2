"""What the API can do, the command line can: compared by the route table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from api.route import Route
from api.routes import all_routes
from api.routes.exec import SOCKETS

SOURCES = (
    "".join(
        path.read_text()
        for folder in ("hivemind/cli", "hivemind/client/_async")
        for path in sorted(Path(folder).glob("*.py"))
    )
    + Path("hivemind/client/exec.py").read_text()
)
WITHOUT = {
    "GET /openapi.json": "for programs that make clients; `hivemind api GET /openapi.json`",
    "GET /docs": "for browsers",
    "GET /metrics": "for Prometheus; `hivemind api GET /metrics`",
    "POST /graphql": "for programs; `hivemind api POST /graphql`",
    "POST /batch": "for programs; `hivemind api POST /batch`",
}
NAMED_OTHERWISE = {"{_PATH}": "/security/network-policies", "{_run_path(job, run_id)}": "/jobs/{name}/runs/{run_id}"}
"""Paths that stand in a name of their own."""


def asked(path: str) -> bool:
    """Whether some command asks for `path`, whatever its variables are called."""
    wanted = re.compile(re.sub(r"\\\{\w+\\\}", r"\\{[^}]+\\}", re.escape(path)) + r"""["'?]""")
    text = SOURCES
    for name, meant in NAMED_OTHERWISE.items():
        text = text.replace(name, meant)
    return bool(wanted.search(text))


@pytest.mark.parametrize("route", all_routes(), ids=lambda route: route.name)
def test_each_operation_has_a_command_or_a_reason(route: Route) -> None:
    assert asked(route.path) or WITHOUT.get(route.name)


def test_exec_has_one() -> None:
    (socket,) = SOCKETS
    assert asked(socket.path)

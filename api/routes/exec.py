"""Commands in containers, over a WebSocket."""

from __future__ import annotations

from api import exec_socket
from api.errors import NotFound
from api.route import Access, Kind, Parameter, Subject
from api.sockets import SocketCall, SocketRoute


async def exec_in_container(call: SocketCall) -> None:
    query, deps, container_id = call.query, call.services.deps, call.path["container_id"]
    task = deps.replica.state.tasks.get(container_id)
    if task is None:
        raise NotFound(f"there is no container {container_id!r}")
    command, tty = exec_socket.parse_command(query.text("command")), query.boolean("tty")
    columns = query.integer("columns", least=1, most=exec_socket.MAX_SIZE)
    rows = query.integer("rows", least=1, most=exec_socket.MAX_SIZE)
    call.services.journal.note(
        user_id=call.identity.user_id,
        address=call.address,
        action="WS /containers/{container_id}/exec",
        target=f"/containers/{container_id}/exec",
        outcome="done",
        message=" ".join(command),
    )
    async with deps.containers.exec(task, command, tty=tty) as stream:
        await call.socket.accept()
        if tty and columns is not None and rows is not None:
            await stream.resize(columns=columns, rows=rows)
        await exec_socket.run(
            call.socket,
            stream,
            call.services.closing,
            check_s=deps.settings.heartbeat_s,
            still_allowed=call.still_allowed,
        )


SOCKETS = (
    SocketRoute(
        path="/containers/{container_id}/exec",
        access=Access.OPERATE,
        permission="containers:exec",
        place=Subject("tasks", "container_id"),
        handler=exec_in_container,
        parameters=(
            Parameter("command", description="words as a shell splits them, or a JSON list; sh if nothing is said"),
            Parameter("tty", Kind.BOOLEAN, "with a terminal"),
            Parameter("columns", Kind.INTEGER, "the terminal's width"),
            Parameter("rows", Kind.INTEGER, "the terminal's height"),
        ),
    ),
)

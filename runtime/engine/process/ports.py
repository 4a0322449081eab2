"""Free ports of the node's own address."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence

from runtime.engine.base import ContainerPort, PortProtocol
from runtime.engine.errors import EngineBusy

_ATTEMPTS = 20
_KINDS: Mapping[PortProtocol, socket.SocketKind] = {"tcp": socket.SOCK_STREAM, "udp": socket.SOCK_DGRAM}


def free_ports(address: str, ports: Sequence[ContainerPort], previous: Mapping[int, int]) -> dict[int, int]:
    """A port at `address` for each container port, the previous one where it is free. EngineBusy.

    Nothing holds the port until the task binds it; another program may take it in between, and the task then
    fails to start and is started again with another one.
    """
    wanted: dict[int, list[PortProtocol]] = {}
    for port in ports:
        wanted.setdefault(port.container_port, []).append(port.protocol)
    chosen: dict[int, int] = {}
    for container_port, protocols in wanted.items():
        candidate = previous.get(container_port, 0)
        for _ in range(_ATTEMPTS):
            found = _bindable(address, candidate, protocols)
            if found is not None and found not in chosen.values():
                chosen[container_port] = found
                break
            candidate = 0
        else:
            raise EngineBusy(f"no free port at {address} for container port {container_port}")
    return chosen


def _bindable(address: str, port: int, protocols: Sequence[PortProtocol]) -> int | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for protocol in protocols:
        with socket.socket(family, _KINDS[protocol]) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                return None
            port = probe.getsockname()[1]
    return port

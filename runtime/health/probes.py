"""One probe of a container, from its own node: a command in it, an HTTP request to it, a connection to it."""

from __future__ import annotations

import os

import httpx2
import trio
from msgspec import Struct

from runtime.engine.base import Engine
from runtime.engine.errors import ContainerNotFound, ContainerNotRunning, EngineError, EngineUnavailable
from runtime.health.plan import CommandTarget, HttpTarget, Target, TcpTarget

_MESSAGE_BYTES = 512


class ProbeResult(Struct, frozen=True):
    """`message`: what was wrong, empty for a pass."""

    message: str = ""

    @property
    def passed(self) -> bool:
        return not self.message


class Probes:
    """Runs single probes; no connection outlives its probe."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._client = httpx2.AsyncClient(
            timeout=None,
            trust_env=False,
            # A replica answers, or it does not: who it is, is not asked.
            verify=False,
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=0),
        )

    async def probe(self, target: Target, *, timeout_s: float) -> ProbeResult | None:
        """None where it says nothing of the container: it does not run, or the engine does not answer."""
        match target:
            case CommandTarget():
                return await self._command(target, timeout_s)
            case TcpTarget(address, port) | HttpTarget(address=address, port=port) if address is None or port is None:
                return ProbeResult("it has no address" if address is None else "it has no port that could be probed")
            case _:
                with trio.move_on_after(timeout_s):
                    return await (self._http(target) if isinstance(target, HttpTarget) else _tcp(target))
                return ProbeResult(f"no answer within {timeout_s:g} s")

    async def _command(self, target: CommandTarget, timeout_s: float) -> ProbeResult | None:
        try:
            result = await self._engine.exec(target.engine_id, ("/bin/sh", "-c", target.command), timeout_s=timeout_s)
        except TimeoutError:
            return ProbeResult(f"no end within {timeout_s:g} s")
        except (ContainerNotRunning, ContainerNotFound, EngineUnavailable):
            return None
        except EngineError as error:
            return ProbeResult(str(error))
        if result.exit_code == 0:
            return ProbeResult()
        output = result.output[-_MESSAGE_BYTES:].decode(errors="replace").strip()
        return ProbeResult(f"exit code {result.exit_code}: {output}" if output else f"exit code {result.exit_code}")

    async def _http(self, target: HttpTarget) -> ProbeResult:
        host = f"[{target.address}]" if ":" in str(target.address) else target.address
        url = f"{target.scheme}://{host}:{target.port}{target.path}"
        try:
            # The body is not read: the status is the answer.
            async with self._client.stream("GET", url, headers=dict(target.headers)) as answer:
                status = answer.status_code
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            return ProbeResult(f"GET {target.path}: {error or type(error).__name__}")
        if any(low <= status <= high for low, high in target.statuses):
            return ProbeResult()
        return ProbeResult(f"GET {target.path}: status {status}")


async def _tcp(target: TcpTarget) -> ProbeResult:
    assert target.address is not None
    assert target.port is not None
    try:
        stream = await trio.open_tcp_stream(target.address, target.port)
    except OSError as error:
        return ProbeResult(f"port {target.port}: {_reason(error)}")
    await stream.aclose()
    return ProbeResult()


def _reason(error: BaseException) -> str:
    """The kernel's words: trio tells of all addresses that it tried, and there was one."""
    cause = error.__cause__ or error
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    number = getattr(cause, "errno", None)
    return str(cause) if number is None else os.strerror(number).lower()

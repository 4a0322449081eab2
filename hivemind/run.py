"""The daemon: every part of a node, put together. The only composition root.

peer channel ─┬─ raft ── machine ── proposer ─┬─ api
gossip ───────┘                               ├─ agent ── engine
                                              ├─ mesh
                                              └─ orchestrator (acts where this node leads)
"""

from __future__ import annotations

import os
import resource
import signal
import sys
from importlib.metadata import version
from typing import Any

import structlog
import trio

from api.auth.passwords import Argon2Hasher
from consensus.model.network import OverlayMode
from consensus.raft import StorageError
from hivemind import facts
from hivemind.config import DaemonConfig, redacted, unknown_variables
from hivemind.daemon import Daemon
from hivemind.exception_groups import first_error
from hivemind.lockfile import AlreadyRunning, locked
from hivemind.observability import logs
from hivemind.observability.loop_lag import LoopLag
from hivemind.startup.obtain import StartupError, obtain_identity
from membership import MembershipError
from runtime.engine.base import Engine
from runtime.engine.docker_engine import DockerEngine
from runtime.engine.errors import EngineError
from runtime.engine.select import select_engine
from runtime.network.overlay.choice import Choice, Claim, choose

log = structlog.get_logger()

VERSION = version("hivemind")
_STARTUP_ERRORS = (StartupError, AlreadyRunning, StorageError, EngineError, MembershipError, OSError)


def run_daemon(config: DaemonConfig) -> None:
    """Runs this node until SIGTERM or SIGINT.

    Raises:
        StartupError: it could not start, or cannot go on; the text is for the user.
    """
    logs.configure(level=config.log_level, fmt=config.log_format)
    _raise_file_limit()
    lag = LoopLag()
    try:
        trio.run(_main, config, lag, instruments=[lag], strict_exception_groups=True)
    except _STARTUP_ERRORS as error:
        raise StartupError(str(error)) from error
    except BaseExceptionGroup as group:
        known, rest = group.split(_STARTUP_ERRORS)
        if known is None or rest is not None:
            raise
        raise StartupError(str(first_error(known))) from group


def _raise_file_limit() -> None:
    """Every peer, client and container holds files; the soft limit is often 1,024."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def _main(config: DaemonConfig, lag: LoopLag) -> None:
    config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked(config.data_dir):
        async with trio.open_nursery() as nursery:
            stop = trio.Event()
            await nursery.start(_watch_signals, stop, nursery.cancel_scope)
            await _run_daemon(config, lag, stop)
            nursery.cancel_scope.cancel()


async def _watch_signals(
    stop: trio.Event, scope: trio.CancelScope, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """The first signal stops in good order, the second at once."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        task_status.started()
        async for number in signals:
            if stop.is_set():
                scope.cancel()
                return
            log.info("stopping", signal=signal.Signals(number).name)
            stop.set()


async def _run_daemon(config: DaemonConfig, lag: LoopLag, stop: trio.Event) -> None:
    for name in unknown_variables(os.environ):
        log.warning("unknown_setting", variable=name, expected="the variables that hivemind daemon --help names")
    log.info("daemon_starting", version=VERSION, **_loggable(redacted(config)))
    engine = await select_engine(
        config.runtime,  # type: ignore[arg-type]
        docker_host=config.docker_host,
        data_dir=config.data_dir / "engine",
        address=config.advertise,
    )
    claim = Claim()
    try:
        overlay = await _choose_overlay(config, engine, claim)
        node_facts = facts.gather(config, await engine.info(), overlay, VERSION)
        passwords = Argon2Hasher()
        identity = None
        async with trio.open_nursery() as nursery:

            async def give_up() -> None:
                await stop.wait()
                nursery.cancel_scope.cancel()

            nursery.start_soon(give_up)
            identity = await obtain_identity(config, node_facts, hash_password=passwords.hash, announce=_announce)
            nursery.cancel_scope.cancel()
        if identity is None:
            return
        daemon = Daemon(config, identity, node_facts, engine=engine, passwords=passwords, lag=lag)
        await daemon.run(stop)
    finally:
        claim.release()
        with trio.CancelScope(shield=True), trio.move_on_after(2.0):
            await engine.aclose()
    log.info("daemon_stopped", node=identity.node_id)


async def _choose_overlay(config: DaemonConfig, engine: Engine, claim: Claim) -> Choice:
    docker_host = engine.networks.host if isinstance(engine, DockerEngine) else ""
    chosen = await choose(
        config.overlay, engine=engine.name, docker_host=docker_host, advertise=config.advertise, claim=claim
    )
    if chosen.mode is OverlayMode.OFF:
        log.info("overlay_disabled", reason=chosen.reason)
    return chosen


def _announce(text: str) -> None:
    """For the user who founds a cluster: on standard output, so that it is not in the log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _loggable(settings: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) for key, value in settings.items() if value is not None}

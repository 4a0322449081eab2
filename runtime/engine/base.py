"""The one small interface that the agent uses, whatever runs the containers.

Values are frozen. Times are Unix seconds, sizes are bytes, CPU is cores in specs and percent of one core in
statistics. All methods raise `runtime.engine.errors.EngineError` and its kinds, nothing else on purpose.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from msgspec import Struct

from consensus.model.image import ImageFound

ContainerStatus = Literal["created", "running", "paused", "restarting", "exited", "dead"]
LogStreamName = Literal["stdout", "stderr"]
PortProtocol = Literal["tcp", "udp"]


class Mount(Struct, frozen=True, kw_only=True):
    """A named volume, a path of the host (`bind`), or memory of the container's own (`tmpfs`) at `target`."""

    kind: Literal["volume", "bind", "tmpfs"]
    source: str
    target: str
    read_only: bool = False
    size_bytes: int | None = None


class ContainerPort(Struct, frozen=True, kw_only=True):
    """A port that the container listens on. It is not published on the host, but reached by address."""

    container_port: int
    protocol: PortProtocol = "tcp"


class LogRotation(Struct, frozen=True, kw_only=True):
    """A log file is closed at `max_bytes`; `max_files` are kept, the open one included."""

    max_bytes: int = 10 * 1024 * 1024
    max_files: int = 3


class ContainerSpec(Struct, frozen=True, kw_only=True):
    """All that is needed to create a container.

    `command` replaces the image's entrypoint and `args` its command (Kubernetes' words, not Docker's).
    `cpu_cores` and `memory_bytes` are what it asks for (relative shares, soft reservation); the limits are
    what it never gets more than. None: no limit. `dns` are the addresses of its resolvers, the engine's own where
    there are none.
    """

    name: str
    image: str
    command: tuple[str, ...] | None = None
    args: tuple[str, ...] | None = None
    env: Mapping[str, str] = {}
    labels: Mapping[str, str] = {}
    cpu_cores: float | None = None
    cpu_limit_cores: float | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    pids_limit: int | None = None
    mounts: tuple[Mount, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    network: str | None = None
    dns: tuple[str, ...] = ()
    hostname: str | None = None
    user: str | None = None
    workdir: str | None = None
    stop_signal: str = "SIGTERM"
    stop_grace_s: float = 10.0
    log_rotation: LogRotation = LogRotation()


class ContainerState(Struct, frozen=True, kw_only=True):
    """A container as the engine sees it now.

    `address` is where its ports are reached from this node, None while it has none, `address6` another one of IPv6;
    `port_map` says which port at `address` leads to which container port (the same number where the container has an
    address of its own). `exit_code` is set once it ended; 128 + n for an end by signal n.
    """

    engine_id: str
    name: str
    image: str
    labels: Mapping[str, str]
    status: ContainerStatus
    created_at_s: float
    exit_code: int | None = None
    error: str = ""
    oom_killed: bool = False
    started_at_s: float | None = None
    finished_at_s: float | None = None
    address: str | None = None
    address6: str | None = None
    port_map: Mapping[int, int] = {}
    pid: int | None = None


class ContainerStats(Struct, frozen=True, kw_only=True):
    """One sample. Byte counters count since the start; None: the engine cannot tell."""

    timestamp_s: float
    cpu_percent: float
    memory_bytes: int
    memory_limit_bytes: int | None
    network_rx_bytes: int | None
    network_tx_bytes: int | None
    block_read_bytes: int | None
    block_write_bytes: int | None


class CpuTime(Struct, frozen=True, array_like=True):
    """`cpu_s`: for how long it has used one core since its start, up to `at_s` (Unix seconds)."""

    at_s: float
    cpu_s: float


class LogLine(Struct, frozen=True):
    """A line as it was written, without its line end. Very long lines come in pieces."""

    stream: LogStreamName
    timestamp_s: float
    text: bytes


class ExecResult(Struct, frozen=True):
    """`output` is stdout and stderr in order of arrival, cut at `EXEC_OUTPUT_LIMIT_BYTES`."""

    exit_code: int
    output: bytes


EXEC_OUTPUT_LIMIT_BYTES = 64 * 1024
"""A health probe's or a hook's output is a few lines; more than this is never read by anybody."""


class EngineEvent(Struct, frozen=True, kw_only=True):
    """Something happened to a container.

    `action` is one of create, start, die, oom, stop, kill, destroy, or another word of the engine's; `die`
    comes with `exit_code`.
    """

    engine_id: str
    action: str
    labels: Mapping[str, str]
    timestamp_s: float
    exit_code: int | None = None


class ImageRef(Struct, frozen=True, kw_only=True):
    """`digest` is the registry's (`sha256:…`), None for an image that never came from a registry."""

    image_id: str
    digest: str | None
    architecture: str


class PullProgress(Struct, frozen=True, kw_only=True):
    """Over all layers known so far; `status` is the engine's last word."""

    status: str
    current_bytes: int
    total_bytes: int


class EngineInfo(Struct, frozen=True, kw_only=True):
    """`name` as in `Engine.name`; `cpu_cores` and `memory_bytes` are what the engine's machine has."""

    name: str
    version: str
    architecture: str
    cpu_cores: int
    memory_bytes: int
    containers_running: int


class VolumeState(Struct, frozen=True, kw_only=True):
    """`path` is where it lies on the engine's machine."""

    name: str
    driver: str
    labels: Mapping[str, str]
    path: str
    created_at_s: float | None


class ExecStream(Protocol):
    """A running command with its input and output open (`docker exec -i`)."""

    async def send(self, data: bytes) -> None:
        """Write to the command's stdin."""

    async def send_eof(self) -> None:
        """Close the command's stdin; its output stays open."""

    async def receive(self) -> tuple[LogStreamName, bytes]:
        """The next piece of output; `("stdout", b"")` at the end. With a tty all of it is stdout."""

    async def resize(self, *, columns: int, rows: int) -> None:
        """Set the terminal's size; does nothing without a tty."""

    async def exit_code(self) -> int | None:
        """The command's exit code, None while it runs; after the end of its output waited for up to 2 s."""


class Engine(Protocol):
    """What runs containers on this node. Safe to use from several tasks at once."""

    @property
    def name(self) -> Literal["docker", "process"]:
        """The kind of the engine."""

    async def info(self) -> EngineInfo:
        """Version and size of the engine; also the way to ask whether it answers."""

    async def ensure_image(self, image: str, *, on_progress: Callable[[PullProgress], None] | None = None) -> ImageRef:
        """Use the image if it is present, else pull it. ImageNotFound, ImagePullFailed."""

    async def look_up(self, image: str) -> ImageFound | None:
        """What the image's name means in its registry now; nothing is pulled.

        None, and nothing is asked, where the engine has it and not from there: it was built or loaded. Raises
        ImageNotFound, RegistryRefused, EngineBusy (what the registry said, or that it did not answer).
        """

    async def create(self, spec: ContainerSpec) -> str:
        """Create without starting; the engine's id. NameConflict, ImageNotFound, InvalidSpec."""

    async def start(self, engine_id: str) -> None:
        """Start what is created or exited; a running one stays as it is."""

    async def stop(self, engine_id: str, *, grace_s: float | None = None, signal: str | None = None) -> None:
        """Signal, and kill after `grace_s` (None: the spec's). Returns when it has ended."""

    async def kill(self, engine_id: str, *, signal: str = "SIGKILL") -> None:
        """Signal without waiting for the end. ContainerNotRunning."""

    async def remove(self, engine_id: str, *, force: bool = False, volumes: bool = False) -> None:
        """Remove a stopped one, with `force` a running one; `volumes`: its anonymous volumes too."""

    async def inspect(self, engine_id: str) -> ContainerState:
        """State by id or name. ContainerNotFound."""

    async def list(self, labels: Mapping[str, str], *, seen: Iterable[ContainerState] = ()) -> Sequence[ContainerState]:
        """All containers, running or not, that carry all of `labels`.

        One that was `seen` created or running, and is that still or again, may be answered as it was seen: what
        happened between the two is the events' to tell.
        """

    def events(self, labels: Mapping[str, str]) -> AbstractAsyncContextManager[AsyncIterator[EngineEvent]]:
        """Events of containers that carry `labels`, from the moment that the context is entered.

        The iterator raises EngineUnavailable when the connection breaks: list again, then subscribe anew.
        """

    def logs(
        self,
        engine_id: str,
        *,
        tail: int | None = None,
        since_s: float | None = None,
        until_s: float | None = None,
        follow: bool = False,
    ) -> AbstractAsyncContextManager[AsyncIterator[LogLine]]:
        """The last `tail` lines (None: all) between two times; `follow` goes on until the container ends."""

    async def stats(self, engine_id: str) -> ContainerStats:
        """One sample; takes up to about a second. ContainerNotRunning."""

    async def cpu_time(self, engine_id: str) -> CpuTime:
        """The counter alone, at once: two of them make a rate. ContainerNotRunning."""

    async def exec(
        self,
        engine_id: str,
        command: Sequence[str],
        *,
        timeout_s: float,
        env: Mapping[str, str] | None = None,
    ) -> ExecResult:
        """Run a command in the container; TimeoutError after `timeout_s`. ContainerNotRunning."""

    def exec_stream(
        self,
        engine_id: str,
        command: Sequence[str],
        *,
        tty: bool = False,
        env: Mapping[str, str] | None = None,
    ) -> AbstractAsyncContextManager[ExecStream]:
        """Run a command with its input and output open. Leaving the context cuts the connection."""

    async def create_volume(
        self,
        name: str,
        *,
        labels: Mapping[str, str],
        driver: str = "local",
        options: Mapping[str, str] | None = None,
    ) -> VolumeState:
        """Create a named volume, or return the one of that name and driver. InvalidSpec."""

    async def list_volumes(self, labels: Mapping[str, str]) -> Sequence[VolumeState]:
        """All volumes that carry all of `labels`."""

    async def remove_volume(self, name: str, *, force: bool = False) -> None:
        """Remove with its data. VolumeNotFound, VolumeInUse."""

    async def aclose(self) -> None:
        """Close connections. Containers keep running."""

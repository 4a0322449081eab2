"""The daemon's settings: one frozen object, from flags, environment, file and defaults, in that order.

Every setting is one row of `SETTINGS`: its name (flag ``--data-dir``, file key ``data_dir``), its environment
variable, how its text is read, and what is expected of it. A wrong or unknown setting is a ConfigError that names
it, where it came from, and what was expected.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

NODE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9./_-]{0,61}[A-Za-z0-9])?")
DEFAULT_PEER_PORT = 7946


class ConfigError(Exception):
    """A setting is wrong; the text says which, from where, and what was expected."""


class RateLimits(Struct, frozen=True):
    """Requests that are answered before 429 (API reference, "Rate Limiting")."""

    per_address_per_minute: int = 100
    per_user_per_hour: int = 1000


class DaemonConfig(Struct, frozen=True, kw_only=True):
    """Everything that a daemon is told. Times that users may tune carry their unit in the name.

    `restart_grace_s`: how long a daemon that said it restarts may be away before its tasks are moved (60 s: longer
    than an upgrade of the package takes). `lost_after_s`: how long a suspected node's peer channel must not answer
    the leader (2 s: above a TCP retransmission). `leader_wait_s`: how long a request waits for a leader before it is
    answered 503 (5 s: an election takes 1 to 3). `offline_start_after_s`: design.md §2.5.
    """

    name: str | None = None
    data_dir: Path
    bind: str = "0.0.0.0"
    advertise: str
    api_port: int = 4483
    peer_port: int = DEFAULT_PEER_PORT
    join: tuple[tuple[str, int], ...] = ()
    token: str | None = None
    runtime: str = "auto"
    docker_host: str | None = None
    labels: Mapping[str, str] = {}
    rate_limit: RateLimits | None = RateLimits()
    leader_wait_s: float = 5.0
    tls: str = "off"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    admin_password: str | None = None
    log_level: str = "info"
    log_format: str = "console"
    preset: str = "lan"
    restart_grace_s: float = 60.0
    lost_after_s: float = 2.0
    offline_start_after_s: float = 60.0

    def validate(self) -> None:
        """Raises ConfigError for settings that do not go together."""
        if self.api_port == self.peer_port:
            raise ConfigError(f"api_port and peer_port are both {self.api_port}: expected two different ports")
        if self.token is not None and not self.join:
            raise ConfigError("token is set, but join is not: expected the address of a member to join")
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ConfigError("tls_cert and tls_key go together: expected both or neither")
        if self.tls == "auto" and self.tls_cert is not None:
            raise ConfigError("tls is auto, and tls_cert is set: expected one of them")
        if self.tls_client_ca is not None and self.tls != "auto" and self.tls_cert is None:
            raise ConfigError("tls_client_ca is set without TLS: expected tls_cert and tls_key, or tls auto")
        if self.join and self.admin_password is not None:
            raise ConfigError("admin_password is for founding a cluster: expected it without join")


def _text(value: str) -> str:
    if not value:
        raise ValueError
    return value


def _port(value: str) -> int:
    port = int(value)
    if not 1 <= port <= 65535:
        raise ValueError
    return port


def _seconds(value: str) -> float:
    seconds = float(value.removesuffix("s"))
    if not seconds >= 0:
        raise ValueError
    return seconds


def _address(value: str) -> str:
    return str(ipaddress.ip_address(value))


def _node_id(value: str) -> str:
    if not NODE_ID.fullmatch(value):
        raise ValueError
    return value


def _one_of(*choices: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in choices:
            raise ValueError
        return value

    return parse


def _seed(value: str) -> tuple[str, int]:
    host, colon, port = value.rpartition(":")
    if not colon or "]" in port:
        host, port = value, str(DEFAULT_PEER_PORT)
    return _text(host.strip("[]")), _port(port)


def _seeds(value: str) -> tuple[tuple[str, int], ...]:
    return tuple(_seed(part.strip()) for part in value.split(",") if part.strip())


def _labels(value: str) -> dict[str, str]:
    labels = {}
    for part in filter(None, value.split(",")):
        key, equals, text = part.partition("=")
        if not equals or not LABEL_KEY.fullmatch(key.strip()) or len(text) > 256:
            raise ValueError
        labels[key.strip()] = text
    return labels


def _rate_limit(value: str) -> RateLimits | None:
    if value == "off":
        return None
    match = re.fullmatch(r"(\d+)/minute,(\d+)/hour", value)
    if match is None or "0" in match.groups():
        raise ValueError
    return RateLimits(int(match[1]), int(match[2]))


def _docker_host(value: str) -> str:
    if not re.match(r"(unix|tcp|http|https)://.", value):
        raise ValueError
    return value


class Setting(Struct, frozen=True):
    """One row: `repeatable` values are joined by commas before they are read."""

    name: str
    parse: Callable[[str], Any]
    expected: str
    help: str
    env: str = ""
    repeatable: bool = False

    @property
    def flag(self) -> str:
        return "--" + self.name.replace("_", "-")

    @property
    def env_name(self) -> str:
        return self.env or "HIVEMIND_" + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("name", _node_id, "an id of a-z, 0-9, '.' and '-'", "The node's id (default: made once and kept)."),
    Setting("data_dir", Path, "a directory", "Where this node keeps its state."),
    Setting("bind", _address, "an IP address", "The address to listen on."),
    Setting("advertise", _address, "an IP address", "The address that other nodes reach this one at."),
    Setting("api_port", _port, "a port (1-65535)", "The port of the API (TCP)."),
    Setting("peer_port", _port, "a port (1-65535)", "The port of gossip (UDP) and the peer channel (TCP)."),
    Setting("join", _seeds, "HOST or HOST:PORT", "A member to join the cluster through.", repeatable=True),
    Setting("token", _text, "a join token (hm1.…)", "The join token.", env="HIVEMIND_JOIN_TOKEN"),
    Setting("token_file", Path, "a readable file", "A file that holds the join token."),
    Setting("runtime", _one_of("auto", "docker", "process"), "auto, docker or process", "What runs containers."),
    Setting("docker_host", _docker_host, "unix:///… or tcp://…", "The Docker engine's address."),
    Setting("label", _labels, "key=value", "A label of this node.", env="HIVEMIND_LABELS", repeatable=True),
    Setting("rate_limit", _rate_limit, "off, or N/minute,M/hour", "Limits per address and per user."),
    Setting("leader_wait", _seconds, "seconds", "How long a request waits for a leader before a 503."),
    Setting("tls", _one_of("off", "auto"), "off or auto", "TLS for the API by the cluster's CA."),
    Setting("tls_cert", Path, "a PEM file", "The API's certificate and its chain; reloaded when it changes."),
    Setting("tls_key", Path, "a PEM file", "The key of that certificate."),
    Setting("tls_client_ca", Path, "a PEM file", "Clients must show a certificate of this CA."),
    Setting("admin_password", _text, "a password", "The admin's password when founding (default: generated)."),
    Setting("admin_password_file", Path, "a readable file", "A file that holds the admin's password."),
    Setting(
        "log_level", _one_of("debug", "info", "warning", "error"), "debug, info, warning or error", "What is logged."
    ),
    Setting("log_format", _one_of("console", "json"), "console or json", "How it is logged."),
    Setting("preset", _one_of("lan", "wan", "local"), "lan, wan or local", "Timings of failure detection."),
    Setting("restart_grace", _seconds, "seconds", "How long a restarting daemon's tasks are left alone."),
    Setting("lost_after", _seconds, "seconds", "How long a suspected node must be silent to be lost."),
    Setting("offline_start_after", _seconds, "seconds", "When to start one's share without a leader."),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}
_FILE_ALIASES = {"labels": "label"}
_CLIENT_VARIABLES = {f"HIVEMIND_{name}" for name in ("CONFIG", "SERVER", "TOKEN", "USERNAME", "PASSWORD")}
_TASK_VARIABLES = ("HIVEMIND_PORT_", "HIVEMIND_VOLUME_", "HIVEMIND_ADDRESS", "HIVEMIND_TEST_")


def load(flags: Mapping[str, Any], env: Mapping[str, str], config_file: Path | None = None) -> DaemonConfig:
    """Puts the settings together. `flags`: setting name → text, or a sequence of texts where repeatable.

    Raises:
        ConfigError: with the setting's name, its origin and what was expected.
    """
    values: dict[str, Any] = {}
    path = config_file or _find_file(env)
    if path is not None:
        values.update(_from_file(path))
    for setting in SETTINGS:
        if text := env.get(setting.env_name):
            values[setting.name] = _parse(setting, text, f"environment variable {setting.env_name}")
    for name, flag in flags.items():
        if flag is None or flag == ():
            continue
        setting = _BY_NAME[name]
        text = flag if isinstance(flag, str) else ",".join(map(str, flag))
        values[name] = _parse(setting, text, f"flag {setting.flag}")
    return _build(values)


def unknown_variables(env: Mapping[str, str]) -> list[str]:
    """``HIVEMIND_…`` variables that nothing reads, most likely misspelt; those that tasks are given are not meant."""
    known = {setting.env_name for setting in SETTINGS} | _CLIENT_VARIABLES
    return sorted(
        name
        for name in env
        if name.startswith("HIVEMIND_") and name not in known and not name.startswith(_TASK_VARIABLES)
    )


def _find_file(env: Mapping[str, str]) -> Path | None:
    if explicit := env.get("HIVEMIND_CONFIG"):
        return Path(explicit)
    places = (Path("hivemind.yaml"), Path.home() / ".hivemind/config.yaml", Path("/etc/hivemind/config.yaml"))
    return next((place for place in places if place.is_file()), None)


def _from_file(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ConfigError(f"config file {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"config file {path} is not YAML: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"config file {path}: expected a mapping of settings")
    values = {}
    for key, value in content.items():
        name = _FILE_ALIASES.get(str(key), str(key).replace("-", "_"))
        setting = _BY_NAME.get(name)
        if setting is None:
            raise ConfigError(f"config file {path}: unknown setting {key!r}; expected one of {', '.join(_BY_NAME)}")
        values[name] = _parse(setting, _file_text(value), f"config file {path}, setting {key}")
    return values


def _file_text(value: Any) -> str:
    if isinstance(value, bool):
        return "off" if value is False else "on"
    if isinstance(value, dict):
        return ",".join(f"{key}={item}" for key, item in value.items())
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return "" if value is None else str(value)


def _parse(setting: Setting, text: str, origin: str) -> Any:
    try:
        return setting.parse(text)
    except ValueError as error:
        raise ConfigError(f"{origin}: expected {setting.expected}, got {text!r}") from error


def _build(values: dict[str, Any]) -> DaemonConfig:
    for secret in ("token", "admin_password"):
        path = values.pop(f"{secret}_file", None)
        if path is not None and secret not in values:
            try:
                values[secret] = path.read_text().strip()
            except OSError as error:
                raise ConfigError(f"{secret}_file {path}: expected a readable file ({error.strerror})") from error
    for name in ("restart_grace", "lost_after", "offline_start_after", "leader_wait"):
        if name in values:
            values[f"{name}_s"] = values.pop(name)
    if "label" in values:
        values["labels"] = values.pop("label")
    values.setdefault("data_dir", default_data_dir())
    if "advertise" not in values:
        values["advertise"] = _default_advertise(values.get("bind", "0.0.0.0"))
    config = DaemonConfig(**values)
    config.validate()
    return config


def default_data_dir() -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/hivemind")
    state_home = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state_home) / "hivemind"


def _default_advertise(bind: str) -> str:
    """The bound address where it is one, else that of the default route. No packet is sent to find it."""
    if not ipaddress.ip_address(bind).is_unspecified:
        return bind
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.1"
        return str(probe.getsockname()[0])


def generated_name(hostname: str) -> str:
    """An id for a node that was given none: its host's name, made valid, with a random end."""
    base = re.sub(r"[^a-z0-9-]+", "-", hostname.split(".")[0].lower()).strip("-")[:40] or "node"
    return f"{base}-{secrets.token_hex(3)}"


def redacted(config: DaemonConfig) -> dict[str, Any]:
    """The settings for the log, without secrets."""
    shown = msgspec.structs.asdict(config)
    return {key: "…" if key in ("token", "admin_password") and value else value for key, value in shown.items()}

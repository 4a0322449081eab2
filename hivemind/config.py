"""The daemon's settings: one frozen object, from flags, environment, file and defaults, in that order.

Every setting is one row of `SETTINGS` (settings.py): its name (flag ``--data-dir``, file key ``data_dir``), its
environment variable, how its text is read, and what is expected of it. A wrong or unknown setting is a ConfigError
that names it, where it came from, and what was expected.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from msgspec import Struct

from consensus.model.network import Encryption, OverlayMode
from hivemind.settings import DEFAULT_PEER_PORT, SETTINGS, RateLimits, Setting


class ConfigError(Exception):
    """A setting is wrong; the text says which, from where, and what was expected."""


class DaemonConfig(Struct, frozen=True, kw_only=True):
    """Everything that a daemon is told. Times that users may tune carry their unit in the name.

    `restart_grace_s`: how long a daemon that said it restarts may be away before its tasks are moved (60 s: longer
    than an upgrade of the package takes). `lost_after_s`: how long a suspected node's peer channel must not answer
    the leader (2 s: above a TCP retransmission). `voter_grace_s`: how long a lost voter keeps its vote before another
    node takes its place (30 s: a virtual machine reboots). `leader_wait_s`: how long a request waits for a leader
    before it is answered 503 (5 s: an election takes 1 to 3). `token_key_lifetime_s`: how old the key that signs the
    API's tokens becomes (30 days; at least a day, which is how long a token holds). `offline_start_after_s`: design.md
    §2.5.
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
    token_key_lifetime_s: float = 30 * 86400.0
    tls: str = "off"
    tls_cert: Path | None = None
    tls_key: Path | None = None
    tls_client_ca: Path | None = None
    admin_password: str | None = None
    log_level: str = "info"
    log_format: str = "console"
    preset: str = "lan"
    overlay: OverlayMode = OverlayMode.VXLAN
    overlay_encryption: Encryption | None = None
    restart_grace_s: float = 60.0
    lost_after_s: float = 2.0
    voter_grace_s: float = 30.0
    offline_start_after_s: float = 60.0

    def validate(self) -> None:
        """Raises ConfigError for settings that do not go together."""
        if self.api_port == self.peer_port:
            raise ConfigError(f"api_port and peer_port are both {self.api_port}: expected two different ports")
        if self.token_key_lifetime_s < 86400:
            raise ConfigError(f"token_key_lifetime is {self.token_key_lifetime_s:g} s: expected at least 86400, a day")
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
        if self.join and self.overlay_encryption is not None:
            raise ConfigError("overlay_encryption is for founding a cluster: expected it without join")


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
    for name in ("restart_grace", "lost_after", "offline_start_after", "leader_wait", "token_key_lifetime"):
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

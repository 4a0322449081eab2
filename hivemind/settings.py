"""The table of the daemon's settings: what each is called, how its text is read, and what is expected of it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec import Struct

from consensus.model.network import Encryption, OverlayMode

NODE_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")
LABEL_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9./_-]{0,61}[A-Za-z0-9])?")
DEFAULT_PEER_PORT = 7946


class RateLimits(Struct, frozen=True):
    """Requests that are answered before 429 (API reference, "Rate Limiting")."""

    per_address_per_minute: int = 100
    per_user_per_hour: int = 1000


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
    Setting("token_key_lifetime", _seconds, "seconds", "How old the key that signs tokens becomes (30 days)."),
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
    Setting("overlay", OverlayMode, "vxlan, host-gw or off", "How packets reach other nodes' containers."),
    Setting("overlay_encryption", Encryption, "wireguard or off", "How nodes' packets are sealed, when founding."),
    Setting("restart_grace", _seconds, "seconds", "How long a restarting daemon's tasks are left alone."),
    Setting("lost_after", _seconds, "seconds", "How long a suspected node must be silent to be lost."),
    Setting("voter_grace", _seconds, "seconds", "How long a lost voter keeps its vote before it is replaced."),
    Setting("offline_start_after", _seconds, "seconds", "When to start one's share without a leader."),
)

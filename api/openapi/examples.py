"""Examples made from types: by the field's name where it says what is there, else by its type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import inspect

from consensus.model.app_spec import AppSpec
from consensus.model.job import JobSpec
from consensus.model.network_policy import NetworkPolicy

_TIME = "2025-06-01T12:00:00Z"
_BY_NAME: dict[str, Any] = {
    "id": "3f9c1b2a7e",
    "app_id": "web-server",
    "container_id": "3f9c1b2a7e",
    "container_ids": ["3f9c1b2a7e", "8d04e6f512"],
    "service_id": "web.local",
    "node_id": "node-1",
    "leader": "node-1",
    "voters": ["node-1", "node-2", "node-3"],
    "name": "web-server",
    "app": "web-server",
    "apps": ["web-server"],
    "image": "nginx:latest",
    "image_digest": "sha256:32da30332506740a2f7c34d5dc70467b7f14ec67d912703568daff790ab3f755",
    "warnings": [],
    "service": "web.local",
    "domain": "web.local",
    "status": "running",
    "message": "Done",
    "ip_address": "10.244.1.2",
    "address": "10.0.0.1",
    "protocol": "tcp",
    "container_port": 80,
    "host_port": 8080,
    "port": 80,
    "replicas": 2,
    "mount_path": "/data",
    "path": "/health",
    "cpu": 0.5,
    "cpu_limit": 1.0,
    "memory": "256M",
    "memory_limit": "512M",
    "size": "10G",
    "command": "curl -f http://localhost/",
    "drain_timeout": "10s",
    "progress_deadline": "10m",
    "verification_timeout": 60,
    "interval": "30s",
    "timeout": "5s",
    "start_period": "60s",
    "stop_grace_period": "10s",
    "expires_in": "24h",
    "min_healthy": "10s",
    "session_timeout": "3h",
    "load_balancing_strategy": "round-robin",
    "node_affinity": "role=frontend",
    "service_affinity": "app=api",
    "priority_class": "high-priority",
    "stop_signal": "SIGTERM",
    "env": {"ENV_VAR1": "value1"},
    "environment": {"ENV_VAR1": "value1"},
    "labels": {"tier": "frontend"},
    "username": "admin",
    "user_id": "admin",
    "created_by": "admin",
    "role": "operator",
    "roles": ["operator"],
    "groups": ["operations"],
    "members": ["admin"],
    "verb": "update",
    "resource": "apps",
    "scope": "namespace/default",
    "effect": "NoSchedule",
    "token": "eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJhZG1pbiJ9.c2lnbmF0dXJl",
    "key": "hmk_3f9c1b2a7e11_c2VjcmV0",
    "version": "0.1.0",
    "logs": "Log line 1\nLog line 2\n",
    "severity": "warning",
    "method": "GET",
    "outcome": "done",
    "action": "POST /deploy",
    "target": "/deploy",
    "timestamp": _TIME,
    "load": 0.5,
    "min": 2,
    "max": 10,
    "cpu_target": 60,
    "tolerance": 0.1,
    "up_window": "30s",
    "down_window": "5m",
    "type": "local",
}


_APP: dict[str, Any] = {
    "name": "web-server",
    "image": "nginx:latest",
    "service": "web.local",
    "replicas": 2,
    "resources": {"cpu": 0.5, "memory": "256M", "cpu_limit": 1.0, "memory_limit": "512M"},
    "env": {"ENV_VAR1": "value1", "ENV_VAR2": "value2"},
    "volumes": [{"name": "data-volume", "mount_path": "/data"}],
    "ports": [{"container_port": 80, "host_port": 8080, "protocol": "tcp"}],
    "health_check": {
        "command": "curl -f http://localhost/",
        "interval": "30s",
        "timeout": "5s",
        "retries": 3,
        "start_period": "60s",
    },
    "node_affinity": "role=frontend",
    "service_affinity": "app=api",
    "priority_class": "high-priority",
}
_JOB: dict[str, Any] = {
    "name": "backup",
    "image": "backup:latest",
    "args": ["--all"],
    "schedule": "0 3 * * *",
    "time_zone": "Europe/Berlin",
    "concurrency_policy": "forbid",
    "backoff_limit": 3,
    "timeout": "1h",
}
_POLICY: dict[str, Any] = {
    "name": "web-to-db",
    "selector": {"labels": {"app": "web"}},
    "ingress_rules": [
        {"ports": [{"protocol": "TCP", "port_min": 80, "port_max": 80}], "from": [{"ip_block": "10.244.2.0/24"}]}
    ],
    "egress_rules": [
        {
            "ports": [{"protocol": "TCP", "port_min": 5432, "port_max": 5432}],
            "to": [{"selector": {"labels": {"app": "db"}}}],
        }
    ],
}
_BY_TYPE: Mapping[type[msgspec.Struct], dict[str, Any]] = {AppSpec: _APP, JobSpec: _JOB, NetworkPolicy: _POLICY}
"""Of what has too many choices for one value of each field to mean something."""


def example_of(annotation: Any) -> Any:
    """A value of that type, as JSON has it."""
    return _of(inspect.type_info(annotation), "")


def _of(kind: inspect.Type, name: str) -> Any:
    named = _named(kind, name)
    if named is not None:
        return named
    if isinstance(kind, inspect.StructType):
        whole = next((_BY_TYPE[base] for base in kind.cls.__mro__ if base in _BY_TYPE), None)
        if whole is not None:
            return whole
    match kind:
        case inspect.StructType():
            tag = {} if kind.tag_field is None else {kind.tag_field: kind.tag}
            return tag | {field.encode_name: _of(field.type, field.encode_name) for field in kind.fields}
        case inspect.UnionType():
            return _of(next(t for t in kind.types if not isinstance(t, inspect.NoneType | _Unset)), name)
        case inspect.ListType() | inspect.VarTupleType():
            return [_of(kind.item_type, name.removesuffix("s"))]
        case inspect.DictType():
            return {"key": _of(kind.value_type, "")}
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case inspect.LiteralType():
            return kind.values[0]
        case inspect.StrType():
            return "x" * max(kind.min_length or 0, 1) if not name else _text(kind, name)
        case inspect.IntType():
            return max(1, kind.ge or 0)
        case inspect.FloatType():
            return 1.0
        case inspect.BoolType():
            return True
    return {}


_Unset = type(inspect.type_info(msgspec.UnsetType))


def _text(kind: inspect.StrType, name: str) -> str:
    return name.replace("_", "-").ljust(kind.min_length or 0, "x")


def _named(kind: inspect.Type, name: str) -> Any:
    """What the name says, where the type allows it."""
    if name.endswith(("_at", "last_check", "last_seen", "last_used", "updated", "_time")):
        value: Any = _TIME
    elif name in _BY_NAME:
        value = _BY_NAME[name]
    else:
        return None
    kinds = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    return value if any(_fits(one, value) for one in kinds) else None


def _fits(kind: inspect.Type, value: Any) -> bool:
    match kind:
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.IntType():
            return isinstance(value, int)
        case inspect.FloatType():
            return isinstance(value, float)
        case inspect.DictType():
            return isinstance(value, dict)
        case inspect.ListType():
            return isinstance(value, list) and isinstance(kind.item_type, inspect.StrType)
        case inspect.EnumType():
            return value in [member.value for member in kind.cls]
    return False

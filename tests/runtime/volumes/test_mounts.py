"""What the engine is asked for, by a volume's type (issue 6, "Volumes")."""

from __future__ import annotations

from typing import Any

import pytest

from consensus.model.volume import Volume
from consensus.model.workload import VolumeMount
from runtime.volumes.mounts import driver_options, is_of_engine, mount_of

MOUNT = VolumeMount(name="v", mount_path="/data")


def volume(**fields: Any) -> Volume:
    return Volume(name="v", created_at_s=0, **fields)


@pytest.mark.parametrize(
    ("made", "mount", "options"),
    [
        (None, ("volume", "engine-v"), {}),
        (volume(), ("volume", "engine-v"), {}),
        (volume(size="1G"), ("volume", "engine-v"), {"size": str(1 << 30)}),
        (volume(type="hostpath", path="/srv/x"), ("bind", "/srv/x"), None),
        (volume(type="ephemeral", size="64M"), ("tmpfs", ""), None),
        (
            volume(type="nfs", server="10.0.0.9", path="/export", mount_options="nfsvers=4,soft"),
            ("volume", "engine-v"),
            {"type": "nfs", "o": "addr=10.0.0.9,nfsvers=4,soft", "device": ":/export"},
        ),
        (
            volume(type="network", server="nas", path="/share", filesystem="cifs"),
            ("volume", "engine-v"),
            {"type": "cifs", "o": "addr=nas", "device": "//nas/share"},
        ),
    ],
)
def test_each_type(made: Volume | None, mount: tuple[str, str], options: dict[str, str] | None) -> None:
    mounted = mount_of(MOUNT, made, "engine-v")
    assert (mounted.kind, mounted.source, mounted.target, mounted.read_only) == (*mount, "/data", False)
    assert is_of_engine(made) == (options is not None)
    if options is not None:
        assert driver_options(made) == options
    if made is not None and made.type == "ephemeral":
        assert mounted.size_bytes == 64 << 20


def test_nobody_writes_to_a_snapshot() -> None:
    assert mount_of(MOUNT, volume(snapshot=True, cloned_from="w"), "engine-v").read_only


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({"type": "tape"}, {"type"}),
        ({"type": "local", "size": "1Q"}, {"size"}),
        ({"type": "local", "path": "/x"}, {"path"}),
        ({"type": "hostpath"}, {"path"}),
        ({"type": "hostpath", "path": "srv"}, {"path"}),
        ({"type": "hostpath", "path": "/srv/../etc"}, {"path"}),
        ({"type": "nfs", "path": "/x"}, {"server"}),
        ({"type": "nfs", "server": "a b", "path": "/x"}, {"server"}),
        ({"type": "network", "server": "a", "path": "/x"}, {"filesystem"}),
        ({"type": "ephemeral", "node_id": "n1"}, {"node"}),
        ({"type": "local", "size": "1G", "node_id": "n1"}, set()),
        ({"type": "nfs", "server": "a", "path": "/x", "mount_options": "ro"}, set()),
    ],
)
def test_what_does_not_go_together_is_named(fields: dict[str, Any], problems: set[str]) -> None:
    assert {name for name, _ in volume(**fields).problems()} == problems

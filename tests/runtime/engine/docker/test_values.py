"""Between our values and the Engine API's documents."""

from __future__ import annotations

import pytest

from runtime.engine.base import ContainerSpec, Mount
from runtime.engine.docker.times import unix_seconds
from runtime.engine.docker_values import container_config, image_tag


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.500000000Z", 1.5),
        ("1970-01-01T01:00:00+01:00", 0.0),
        ("1969-12-31T23:00:00-01:00", 0.0),
        ("2026-11-23T09:25:00.123456789Z", 1795425900.123456789),
        ("0001-01-01T00:00:00Z", None),
    ],
)
def test_times(text: str, expected: float | None) -> None:
    assert unix_seconds(text) == expected


def test_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="not a time"):
        unix_seconds("yesterday")


@pytest.mark.parametrize(
    ("image", "tag"),
    [("busybox", "latest"), ("busybox:1", None), ("host:5000/busybox", "latest"), ("busybox@sha256:1", None)],
)
def test_no_tag_means_latest_and_not_all(image: str, tag: str | None) -> None:
    assert image_tag(image) == tag


def test_limits() -> None:
    spec = ContainerSpec(
        name="n",
        image="i",
        cpu_cores=0.5,
        cpu_limit_cores=1.5,
        memory_bytes=200,
        memory_limit_bytes=100,
        mounts=(Mount(kind="volume", source="v", target="/v", read_only=True),),
    )
    host = container_config(spec)["HostConfig"]
    assert (host["CpuShares"], host["NanoCpus"]) == (512, 1_500_000_000)
    assert (host["Memory"], host["MemorySwap"], host["MemoryReservation"]) == (100, 100, 100)
    assert host["Mounts"] == [{"Type": "volume", "Source": "v", "Target": "/v", "ReadOnly": True}]
    assert host["RestartPolicy"] == {"Name": "no"}


def test_command_and_args_are_left_to_the_image_where_none_are_given() -> None:
    assert {"Entrypoint", "Cmd"}.isdisjoint(container_config(ContainerSpec(name="n", image="i")))

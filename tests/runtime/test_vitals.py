"""Node vitals: small on the wire, and unharmed by what others send."""

from __future__ import annotations

from pathlib import Path

import trio

from runtime.vitals import MAX_PACKED_BYTES, NodeVitals, VitalsSampler, pack, unpack


async def test_samples_are_published_and_kept(tmp_path: Path) -> None:
    published: list[bytes] = []
    sampler = VitalsSampler(tmp_path, containers=lambda: 7, publish=published.append, sample_s=0.05)
    with trio.move_on_after(0.3):
        await sampler.run()
    assert len(published) == len(sampler.history) >= 3
    vitals = unpack(published[-1])
    assert vitals == sampler.newest
    assert vitals is not None
    assert vitals.container_count == 7
    assert 0 < vitals.memory_available_bytes < vitals.memory_total_bytes
    assert 0 < vitals.memory_percent < 100
    assert 0 <= vitals.disk_percent <= 100


def test_they_fit_in_a_packet() -> None:
    most = NodeVitals(
        timestamp_s=1e300,
        cpu_percent=1e300,
        load=1e300,
        cpu_count=2**63,
        memory_total_bytes=2**63,
        memory_available_bytes=2**63,
        disk_total_bytes=2**63,
        disk_available_bytes=2**63,
        container_count=2**63,
    )
    assert len(pack(most)) <= MAX_PACKED_BYTES
    assert unpack(pack(most)) == most


def test_rubbish_is_nothing() -> None:
    for data in (b"", b"\xff", b"\x91\xa1x", b"\x90" * 1000):
        assert unpack(data) is None
    assert unpack(b"\x90") == NodeVitals()

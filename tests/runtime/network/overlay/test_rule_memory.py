"""What is kept of the engine's rules: all of it, for as long as the machine runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from runtime.network.overlay import rule_memory
from runtime.network.overlay.engine_rules import engine_rules
from runtime.network.overlay.rule_memory import FILE, FileMemory
from tests.runtime.network.overlay.test_engine_rules import DOCKER_20


async def test_rules_are_kept_until_the_machine_starts_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory, known = FileMemory(tmp_path), {False: engine_rules(DOCKER_20), True: {}}
    assert await memory.load() == {}
    await memory.save(known)
    assert await FileMemory(tmp_path).load() == known
    other = tmp_path / "boot_id"
    other.write_text("another\n")
    monkeypatch.setattr(rule_memory, "_BOOT_ID", other)
    assert await memory.load() == {}


async def test_a_damaged_file_is_said_and_done_without(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"\x93junk")
    with capture_logs() as logs:
        assert await FileMemory(tmp_path).load() == {}
    assert [entry["event"] for entry in logs] == ["engine_rules_not_read"]

"""Both layouts of the control group tree."""

from __future__ import annotations

from pathlib import Path

from runtime.engine.process.cpu_groups import CpuGroups


def test_unified(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory")
    assert CpuGroups(tmp_path).limit("t1", 1.5) == str(tmp_path / "hivemind" / "t1" / "cgroup.procs")
    assert (tmp_path / "hivemind" / "t1" / "cpu.max").read_text() == "150000 100000"
    for parent in (tmp_path, tmp_path / "hivemind"):
        assert (parent / "cgroup.subtree_control").read_text() == "+cpu"


def test_one_tree_for_each_controller(tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    assert CpuGroups(tmp_path).limit("t1", 0.001) == str(tmp_path / "cpu" / "hivemind" / "t1" / "cgroup.procs")
    assert (tmp_path / "cpu" / "hivemind" / "t1" / "cpu.cfs_quota_us").read_text() == "1000"


def test_where_there_is_no_tree(tmp_path: Path) -> None:
    (tmp_path / "cpu").write_text("a file, where a folder can not be made")
    groups = CpuGroups(tmp_path)
    assert groups.limit("t1", 1.0) is None
    groups.forget("t1")

"""What is remembered is never of another value."""

from __future__ import annotations

from typing import Any

from api.memo import Memo
from consensus.model.task import TaskState, TaskStatus


def test_another_source_is_made_anew_and_memory_is_bounded() -> None:
    memo: Memo[list[int], int] = Memo(most=2)
    one, other = [1], [1]
    assert memo.get("a", one, lambda: 1) == 1
    assert memo.get("a", one, lambda: 2) == 1
    assert memo.get("a", other, lambda: 3) == 3
    for key in "bcd":
        memo.get(key, one, lambda: 4)
    assert len(memo._made) == 2


async def test_a_list_follows_the_containers(admin: Any, world: Any) -> None:
    (task_id,) = await world.deploy("web", replicas=1, running=False)
    assert (await admin.get("/containers"))["containers"][0]["status"] == "pending"
    await world.run([task_id])
    assert (await admin.get("/containers"))["containers"][0]["status"] == "running"
    await world.report(task_id, TaskStatus(state=TaskState.FAILED, exit_code=1))
    assert (await admin.get("/containers"))["containers"][0]["exit_code"] == 1
    await world.deploy("api", replicas=1)
    assert [c["app"] for c in (await admin.get("/containers"))["containers"]] == ["api", "web"]

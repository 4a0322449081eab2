"""Priority classes (issue 5, "Scheduler")."""

from __future__ import annotations

from typing import Any


async def test_three_are_there_from_the_start(admin: Any) -> None:
    found = (await admin.get("/priority-classes"))["priority_classes"]
    assert [(one["name"], one["value"], one["built_in"]) for one in found] == [
        ("high-priority", 100, True),
        ("medium-priority", 50, True),
        ("low-priority", 10, True),
    ]


async def test_own_ones_come_and_go(admin: Any) -> None:
    urgent = {"name": "urgent", "value": 500}
    assert (await admin.send("POST", "/priority-classes", urgent))[0] == 201
    assert (await admin.send("POST", "/priority-classes", urgent))[0] == 409
    assert (await admin.get("/priority-classes"))["priority_classes"][0]["name"] == "urgent"
    status, error = await admin.send("POST", "/deploy", {"name": "web", "image": "x", "priority_class": "none"})
    assert status == 400
    assert error["message"].startswith("priority_class: expected one of high-priority, low-priority")
    await admin.send("POST", "/deploy", {"name": "web", "image": "x", "priority_class": "urgent"})
    status, error = await admin.send("DELETE", "/priority-classes/urgent")
    assert (status, error["message"]) == (409, "priority class 'urgent' is used by web")
    await admin.send("DELETE", "/apps/web")
    assert (await admin.send("DELETE", "/priority-classes/urgent"))[0] == 200
    assert (await admin.send("DELETE", "/priority-classes/urgent"))[0] == 404
    assert (await admin.send("DELETE", "/priority-classes/high-priority"))[0] == 409

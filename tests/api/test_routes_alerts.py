"""Alerts (issue 5, "Health checks and restarts")."""

from __future__ import annotations

from typing import Any

from consensus.commands import RaiseAlert, ResolveAlert
from consensus.model.alert import Alert, Severity


async def test_alerts_are_listed_acknowledged_and_gone_when_resolved(admin: Any, world: Any) -> None:
    alert = Alert(id="a1", severity=Severity.WARNING, resource="node/n1", message="hot", created_at_s=1_750_000_000.0)
    await world.propose(RaiseAlert(alert))
    (item,) = (await admin.get("/alerts"))["alerts"]
    assert (item["id"], item["severity"], item["status"], item["acknowledged_by"]) == (
        "a1",
        "warning",
        "active",
        None,
    )
    assert await admin.send("POST", "/alerts/a1/acknowledge") == (
        200,
        {"id": "a1", "message": "Alert acknowledged successfully"},
    )
    item = await admin.get("/alerts/a1")
    assert (item["status"], item["acknowledged_by"]) == ("acknowledged", "admin")
    # Raised again while it stands: it is still the one that was seen.
    await world.propose(RaiseAlert(alert))
    assert (await admin.get("/alerts?status=acknowledged"))["total"] == 1
    await world.propose(ResolveAlert("a1"))
    assert (await admin.get("/alerts"))["total"] == 0
    for method, path in (("GET", "/alerts/a1"), ("POST", "/alerts/a1/acknowledge")):
        status, error = await admin.send(method, path)
        assert (status, error["code"]) == (404, "resource_not_found")

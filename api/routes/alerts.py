"""Alerts: what a person should know of, and who has seen it."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call
from api.route import Access, Listing, Route, Subject
from api.views.container import time_or_none
from consensus.commands import AcknowledgeAlert
from consensus.model.alert import Alert
from consensus.namespaces import namespace_of_resource
from consensus.state import State
from consensus.timestamp import iso_utc


class AlertItem(Struct, frozen=True, kw_only=True):
    """`status`: active, or acknowledged. `namespace`: of what it is about, where that is in one."""

    id: str
    namespace: str | None
    severity: str
    resource: str
    message: str
    status: str
    created_at: str
    acknowledged_by: str | None
    acknowledged_at: str | None


def alert_item(state: State, alert: Alert) -> AlertItem:
    return AlertItem(
        id=alert.id,
        namespace=namespace_of_resource(state, alert.resource),
        severity=alert.severity.value,
        resource=alert.resource,
        message=alert.message,
        status="active" if alert.acknowledged_at_s is None else "acknowledged",
        created_at=iso_utc(alert.created_at_s),
        acknowledged_by=alert.acknowledged_by,
        acknowledged_at=time_or_none(alert.acknowledged_at_s),
    )


async def list_alerts(call: Call) -> Answer:
    state = call.state
    newest_first = sorted(state.alerts.values(), key=lambda alert: (-alert.created_at_s, alert.id))
    return await call.listed(newest_first, lambda alert: alert_item(state, alert))


async def get_alert(call: Call) -> Answer:
    return Answer(alert_item(call.state, call.named(call.state.alerts, "id", "alert")))


async def acknowledge(call: Call) -> Answer:
    """It stands until its cause is gone; that somebody has seen it is kept with it."""
    alert_id = call.path["id"]
    await call.propose(AcknowledgeAlert(alert_id, call.identity.username))
    return Answer(Message(id=alert_id, message="Alert acknowledged successfully"))


_ALERT = Subject("alerts", "id")

ROUTES = (
    Route(
        method="GET",
        path="/alerts",
        access=Access.VIEW,
        permission="alerts:read",
        handler=list_alerts,
        listing=Listing("alerts", AlertItem),
    ),
    Route(
        method="GET",
        path="/alerts/{id}",
        access=Access.VIEW,
        permission="alerts:read",
        handler=get_alert,
        answer=AlertItem,
        subject=_ALERT,
    ),
    Route(
        method="POST",
        path="/alerts/{id}/acknowledge",
        access=Access.OPERATE,
        permission="alerts:update",
        handler=acknowledge,
        answer=Message,
        subject=_ALERT,
    ),
)

"""Alerts: raised and resolved. Raising one that stands already changes its words, and not who has seen it."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.commands import AcknowledgeAlert, RaiseAlert, ResolveAlert
from consensus.draft import Draft
from consensus.model.alert import Alert
from consensus.model.event import EventType
from consensus.outcomes import AnyOutcome, Done, not_found


def raise_alert(draft: Draft, command: RaiseAlert) -> AnyOutcome:
    standing = draft.state.alerts.get(command.alert.id)
    if standing is None:
        draft.put_alert(command.alert)
        _emit(draft, EventType.ALERT_CREATED, command.alert)
    elif standing.message != command.alert.message:
        draft.put_alert(replace(standing, message=command.alert.message))
    return Done()


def resolve(draft: Draft, command: ResolveAlert) -> AnyOutcome:
    alert = draft.state.alerts.get(command.alert_id)
    if alert is None:
        return not_found("alert", command.alert_id)
    draft.delete_alert(alert.id)
    _emit(draft, EventType.ALERT_RESOLVED, alert)
    return Done()


def acknowledge(draft: Draft, command: AcknowledgeAlert) -> AnyOutcome:
    alert = draft.state.alerts.get(command.alert_id)
    if alert is None:
        return not_found("alert", command.alert_id)
    draft.put_alert(replace(alert, acknowledged_by=command.username, acknowledged_at_s=draft.time_s))
    return Done()


def _emit(draft: Draft, event_type: EventType, alert: Alert) -> None:
    draft.emit(
        event_type,
        [f"alert/{alert.id}", alert.resource],
        id=alert.id,
        severity=alert.severity.value,
        resource=alert.resource,
        message=alert.message,
    )

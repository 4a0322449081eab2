"""Settings of the whole cluster: list, look at, set, unset."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call
from api.errors import NotFound
from api.route import Access, Listing, Route
from consensus.commands import SetSetting, UnsetSetting
from consensus.model.setting import SettingKind, Value, kinds
from consensus.state import State
from consensus.timestamp import iso_utc


class SettingItem(Struct, frozen=True):
    """`value` holds now; `expected` says what may be set. `set_at` is null where the default holds."""

    key: str
    value: Value
    default: Value
    expected: str
    description: str
    set_at: str | None


class SettingBody(Struct, frozen=True, forbid_unknown_fields=True):
    value: Value


def setting_item(state: State, kind: SettingKind) -> SettingItem:
    found = state.settings.get(kind.key)
    return SettingItem(
        key=kind.key,
        value=kind.default if found is None else found.value,
        default=kind.default,
        expected=kind.expected,
        description=kind.description,
        set_at=None if found is None else iso_utc(found.set_at_s),
    )


async def list_settings(call: Call) -> Answer:
    state = call.state
    return await call.listed(list(kinds().values()), lambda kind: setting_item(state, kind))


async def get_setting(call: Call) -> Answer:
    return Answer(setting_item(call.state, _kind(call)))


async def set_setting(call: Call) -> Answer:
    kind = _kind(call)
    body = await call.body(SettingBody)
    await call.propose(SetSetting(kind.key, body.value))
    return Answer(Message(name=kind.key, message="Setting changed successfully"))


async def unset_setting(call: Call) -> Answer:
    key = call.path["key"]
    await call.propose(UnsetSetting(key))
    return Answer(Message(name=key, message="Setting has its default again"))


def _kind(call: Call) -> SettingKind:
    key = call.path["key"]
    kind = kinds().get(key)
    if kind is None:
        raise NotFound(f"there is no setting {key!r}; GET /api/config lists them")
    return kind


ROUTES = (
    Route(
        method="GET",
        path="/config",
        access=Access.VIEW,
        permission="cluster:read",
        handler=list_settings,
        listing=Listing("settings", SettingItem),
    ),
    Route(
        method="GET",
        path="/config/{key}",
        access=Access.VIEW,
        permission="cluster:read",
        handler=get_setting,
        answer=SettingItem,
    ),
    Route(
        method="PUT",
        path="/config/{key}",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=set_setting,
        body=SettingBody,
        answer=Message,
    ),
    Route(
        method="DELETE",
        path="/config/{key}",
        access=Access.ADMIN,
        permission="cluster:update",
        handler=unset_setting,
        answer=Message,
    ),
)

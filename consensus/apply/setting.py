"""Settings: set, and unset."""

from __future__ import annotations

from consensus.commands import SetSetting, UnsetSetting
from consensus.draft import Draft
from consensus.model.setting import Setting, kinds
from consensus.outcomes import AnyOutcome, Done, invalid, not_found


def set_setting(draft: Draft, command: SetSetting) -> AnyOutcome:
    kind = kinds().get(command.key)
    if kind is None:
        return not_found("setting", command.key)
    try:
        value = kind.parsed(command.value)
    except ValueError as error:
        return invalid(str(error))
    draft.put_setting(Setting(key=kind.key, value=value, set_at_s=draft.time_s))
    return Done()


def unset(draft: Draft, command: UnsetSetting) -> AnyOutcome:
    """What is at its default already stays so."""
    if command.key not in kinds() and command.key not in draft.state.settings:
        return not_found("setting", command.key)
    if command.key in draft.state.settings:
        draft.delete_setting(command.key)
    return Done()

"""Settings of the whole cluster (issue 5: `hivemind admin config get|set scheduler.*`, replicated)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from immutables import Map

from consensus import commands as c
from consensus.machine import Machine
from consensus.model.scheduling import SchedulerSettings
from consensus.model.setting import Setting, kinds, section_of
from consensus.outcomes import Refusal, RefusalCode
from tests.consensus.making import Feed


def test_every_setting_says_what_it_is() -> None:
    for key, kind in kinds().items():
        assert kind.description, key
        assert kind.parsed(kind.default) == kind.default


def test_what_is_set_holds_until_it_is_unset_and_survives_a_snapshot() -> None:
    feed = Feed()
    feed.accepted(c.SetSetting("scheduler.strategy", "BestFit"), c.SetSetting("scheduler.cpu_overcommit_ratio", 2))
    again = Machine()
    again.restore(feed.machine.freeze()())
    for state in (feed.state, again.state):
        found = section_of(state.settings, SchedulerSettings)
        assert found == SchedulerSettings(strategy="BestFit", cpu_overcommit_ratio=2.0)
    feed.accepted(c.UnsetSetting("scheduler.strategy"), c.UnsetSetting("scheduler.strategy"))
    assert section_of(feed.state.settings, SchedulerSettings).strategy == "WorstFit"


@pytest.mark.parametrize(
    ("key", "value", "code", "words"),
    [
        ("scheduler.nope", 1, RefusalCode.NOT_FOUND, "scheduler.nope"),
        ("scheduler.cpu_overcommit_ratio", 0, RefusalCode.INVALID, "expected a number from 0.1 to 100, got 0"),
        ("scheduler.cpu_overcommit_ratio", "1.5", RefusalCode.INVALID, "got '1.5'"),
        ("scheduler.strategy", "Tetris", RefusalCode.INVALID, "BestFit"),
        ("scheduler.rebalance", 1, RefusalCode.INVALID, "expected true or false"),
        ("scheduler.random_seed", 1.5, RefusalCode.INVALID, "expected a whole number"),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(key: str, value: Any, code: RefusalCode, words: str) -> None:
    feed = Feed()
    outcome = feed(c.SetSetting(key, value))
    assert isinstance(outcome, Refusal)
    assert outcome.code is code
    assert words in outcome.message
    assert not feed.state.settings


@given(
    st.sampled_from(sorted(kinds())), st.booleans() | st.integers(-5, 500) | st.floats(-2, 200) | st.text(max_size=3)
)
def test_whatever_another_version_kept_can_be_read(key: str, value: Any) -> None:
    found = section_of(Map({key: Setting(key=key, value=value, set_at_s=1.0)}), kinds()[key].section)
    assert getattr(found, key.partition(".")[2]) in (value, kinds()[key].default)

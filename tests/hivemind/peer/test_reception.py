"""Whether all members turn a node away, as its dials tell."""

from __future__ import annotations

from hivemind.peer.reception import Reception


def test_only_what_all_members_say_without_a_break_counts() -> None:
    reception = Reception()
    assert reception.turned_away_for_s(100.0) == 0
    reception.turned_away("removed", 100.0)
    reception.turned_away("removed, says another", 103.0)
    assert (reception.turned_away_for_s(104.0), reception.reason) == (4.0, "removed, says another")
    # One that lags behind says so while the others have it as a member.
    reception.welcomed()
    assert reception.turned_away_for_s(105.0) == 0
    reception.turned_away("removed", 106.0)
    assert reception.turned_away_for_s(107.0) == 1.0

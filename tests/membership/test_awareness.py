"""The local health multiplier, Lifeguard §IV-A."""

from membership.awareness import Awareness


def test_score_stays_within_its_bounds() -> None:
    awareness = Awareness(8)
    awareness.adjust(-1)
    assert awareness.stretch(1.0) == 1.0
    awareness.adjust(+100)
    assert awareness.score == 7
    assert awareness.stretch(0.5) == 4.0


def test_a_multiplier_of_one_turns_it_off() -> None:
    awareness = Awareness(1)
    awareness.adjust(+3)
    assert awareness.stretch(1.0) == 1.0

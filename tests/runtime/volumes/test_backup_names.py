"""Which backups are too old, beside a dumb version (issue 6: retention by count and age)."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from consensus.model.backup import Retention
from runtime.volumes.backup_names import backups_of, name_of, parsed, too_old

NAMES = st.sampled_from(["data", "web-data", "data-20260101T000000-1.tar.zst", "a.b"])
TIMES = st.integers(0, 4_000_000_000)


@settings(max_examples=30)
@given(NAMES, TIMES, st.integers(1, 10**9), st.sampled_from(["zstd", "gzip"]), st.booleans())
def test_a_name_says_what_it_was_made_of(volume: str, at_s: int, number: int, compression: str, sealed: bool) -> None:
    text = name_of(volume, began_s=at_s + 0.7, number=number, compression=compression, sealed=sealed)
    found = parsed(text)
    assert found is not None
    assert (found.volume, found.began_s, found.number, found.sealed) == (volume, at_s, number, sealed)
    assert parsed("x" + text[len(volume) :]) is not None
    for other in ("notes.txt", text + ".part", f".{text}.unfinished", text.replace("Z-", "-")):
        assert parsed(other) is None


@settings(max_examples=60)
@given(st.lists(st.integers(0, 100), max_size=12), st.none() | st.integers(1, 12), st.none() | st.integers(1, 60))
def test_what_is_kept(days: list[int], count: int | None, age_days: int | None) -> None:
    day_s, now_s = 86400, 100 * 86400
    names = [
        name_of("v", began_s=day * day_s, number=number, compression="zstd", sealed=False)
        for number, day in enumerate(days)
    ]
    foreign = [name_of("w", began_s=0, number=1, compression="zstd", sealed=False), "notes.txt"]
    newest_first = backups_of("v", [*foreign, *names])
    keep = Retention(count=count, age=None if age_days is None else f"{age_days}d")
    gone = {name.text for name in too_old(newest_first, keep, now_s)}
    by_age = sorted(((day, number) for number, day in enumerate(days)), reverse=True)
    expected = {
        names[number]
        for place, (day, number) in enumerate(by_age)
        if place > 0 and ((count is not None and place >= count) or (age_days is not None and 100 - day > age_days))
    }
    assert gone == expected
    assert not gone & set(foreign)

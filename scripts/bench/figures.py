"""Samples, and what is told of them: medians, ratios of medians, and medians of each round's ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median

from msgspec import Struct

US = "hivemind"


class Sample(Struct, frozen=True, kw_only=True):
    """One measured step of one contender.

    Attributes:
        seconds: from the request to the last event of an engine that makes it true.
        lab_cpu_s: used meanwhile by all processes of the lab: engines, containers, daemons.
        daemons_cpu_s: Hivemind's daemons' part of it; their idle cost in the steps of the others.
        others_cores: how many cores everybody else on the machine kept busy, this benchmark's own process included.
    """

    row: str
    contender: str
    round: int
    seconds: float
    lab_cpu_s: float
    daemons_cpu_s: float
    others_cores: float
    load_average: float


class Cell(Struct, frozen=True):
    """A contender in a row: medians, and the range of the seconds."""

    seconds: float
    least_s: float
    most_s: float
    lab_cpu_s: float
    daemons_cpu_s: float
    rounds: int


class Row(Struct, frozen=True):
    """`ratios` are Hivemind's median over each other contender's: under 1 is faster. `ratios_in_pairs` are medians of
    what the two took in the same round, one soon after the other: a machine may be a third slower minutes later."""

    row: str
    cells: dict[str, Cell]
    ratios: dict[str, float]
    ratios_in_pairs: dict[str, float]
    others_cores: float


def summary(samples: Iterable[Sample]) -> list[Row]:
    """A row for each row name, in order of appearance."""
    by_row: dict[str, dict[str, list[Sample]]] = {}
    for sample in samples:
        by_row.setdefault(sample.row, {}).setdefault(sample.contender, []).append(sample)
    return [_row(name, by_contender) for name, by_contender in by_row.items()]


def _row(name: str, by_contender: dict[str, list[Sample]]) -> Row:
    cells = {contender: _cell(samples) for contender, samples in by_contender.items()}
    ours = cells.get(US)
    ratios = {} if ours is None else {n: ours.seconds / cell.seconds for n, cell in cells.items() if n != US}
    every = [sample.others_cores for samples in by_contender.values() for sample in samples]
    ours_s = {sample.round: sample.seconds for sample in by_contender.get(US, ())}
    in_pairs = {
        contender: median(pairs)
        for contender, samples in by_contender.items()
        if contender != US and (pairs := [ours_s[s.round] / s.seconds for s in samples if s.round in ours_s])
    }
    return Row(name, cells, ratios, in_pairs, median(every))


def _cell(samples: Sequence[Sample]) -> Cell:
    seconds = [sample.seconds for sample in samples]
    return Cell(
        seconds=median(seconds),
        least_s=min(seconds),
        most_s=max(seconds),
        lab_cpu_s=median(sample.lab_cpu_s for sample in samples),
        daemons_cpu_s=median(sample.daemons_cpu_s for sample in samples),
        rounds=len(samples),
    )


def table(rows: Sequence[Row]) -> str:
    """For people: seconds (least to most) and CPU seconds of the lab for each contender, then the ratios."""
    contenders = list(dict.fromkeys(name for row in rows for name in row.cells))
    others = [name for name in contenders if name != US]
    head = ["", *contenders, *(f"{US}/{name}" for name in others), "our CPU s", "others' cores"]
    lines = [head, *([row.row, *_cells(row, contenders, others)] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    padded = ("  ".join(word.ljust(width) for word, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _cells(row: Row, contenders: Sequence[str], others: Sequence[str]) -> list[str]:
    ours = row.cells.get(US)
    return [
        *(_words(row.cells.get(name)) for name in contenders),
        *(_ratio(row, name) for name in others),
        "-" if ours is None else f"{ours.daemons_cpu_s:.2f}",
        f"{row.others_cores:.2f}",
    ]


def _ratio(row: Row, name: str) -> str:
    return f"{row.ratios[name]:.2f} (in pairs {row.ratios_in_pairs[name]:.2f})" if name in row.ratios else "-"


def _words(cell: Cell | None) -> str:
    if cell is None:
        return "-"
    return f"{cell.seconds:.2f} ({cell.least_s:.2f}-{cell.most_s:.2f}) cpu {cell.lab_cpu_s:.1f}"

"""A progress bar."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn


class Bar:
    def __init__(self, progress: Progress, description: str) -> None:
        self._progress = progress
        self._task = progress.add_task(description)

    def update(self, done: int, total: int, description: str | None = None) -> None:
        self._progress.update(self._task, completed=done, total=total, description=description)

    def say(self, line: str) -> None:
        """A line above the bar; also where there is no terminal."""
        self._progress.console.print(line, highlight=False)


@contextmanager
def bar(description: str) -> Iterator[Bar]:
    """On standard error, and gone when it is done; none where that is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield Bar(progress, description)

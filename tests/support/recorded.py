"""What tests tell the last lines of the run, by pytest's `record_property`: it also comes from a worker of xdist."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


def recorded(reporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    """Every property that a test recorded, with its name, in the order in which the tests ended."""
    for reports in reporter.stats.values():
        for report in reports:
            # The last report of a test has all that was recorded by then.
            if getattr(report, "when", None) == "teardown":
                yield from ((name, str(value)) for name, value in report.user_properties)

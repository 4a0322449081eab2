"""Makes the client that waits from the async one: hivemind/client/_async → hivemind/client/_sync.

Run it after a change in _async: .venv/bin/python scripts/sync_client.py
"""

from __future__ import annotations

import re
from pathlib import Path

CLIENT = Path(__file__).parents[1] / "hivemind/client"
HEADER = "# Made from _async by scripts/sync_client.py; change it there.\n"
REPLACEMENTS = (
    (r"async (def|with|for) ", r"\1 "),
    (r"\bawait ", ""),
    (r"\basync_sleep\b", "sync_sleep"),
    (r"\bAsync(Lines|Transport|Operations|\w*Methods)\b", r"Sync\1"),
    (r"httpx2\.Async(Client|BaseTransport)", r"httpx2.\1"),
    (r"AsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"AbstractAsyncContextManager", "AbstractContextManager"),
    (r"\basynccontextmanager\b", "contextmanager"),
    (r"\bAsync(Iterator|Generator)\b", r"\1"),
    (r"\b(__)?a(enter__|exit__|iter__|iter_lines|iter_bytes|read|close|closing)\b", r"\1\2"),
    (r"\b__anext__\b", "__next__"),
    (r"\b_async\b", "_sync"),
)


def made_from(source: str) -> str:
    for pattern, replacement in REPLACEMENTS:
        source = re.sub(pattern, replacement, source)
    return source


def targets() -> dict[Path, str]:
    """What each file of _sync must hold."""
    texts = {path.name: made_from(path.read_text()) for path in sorted((CLIENT / "_async").glob("*.py"))}
    texts["__init__.py"] = '"""The client that waits, made from `_async` by scripts/sync_client.py."""\n'
    return {CLIENT / "_sync" / name: text if name == "__init__.py" else HEADER + text for name, text in texts.items()}


def main() -> None:
    for path, text in targets().items():
        path.write_text(text)


if __name__ == "__main__":
    main()

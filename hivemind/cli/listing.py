"""Lists as a whole: the API gives them in pages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hivemind.cli.session import Session

if TYPE_CHECKING:
    from hivemind.client import Client

_PAGE = 1000


def all_rows(session: Session, path: str, key: str, **query: Any) -> list[dict[str, Any]]:
    """Every item of a list. `query` has its filters; None is none."""

    async def collect(client: Client) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        offset: int | None = 0
        while offset is not None:
            data = await client.get(path, limit=_PAGE, offset=offset, **query)
            rows += data[key]
            offset = data["pagination"]["next_offset"]
        return rows

    return session.run(collect)

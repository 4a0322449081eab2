"""Server-Sent Events (WHATWG HTML, 9.2.6), as far as our server writes them."""

from __future__ import annotations

from hivemind.client.sse import ClientEvent, Lines


def _taken(lines: Lines, text: str) -> list[ClientEvent]:
    return [event for line in text.split("\n") if (event := lines.take(line)) is not None]


def test_events_have_the_websockets_names() -> None:
    text = 'event: container.health_changed\nid: e.7.1\ndata: {"id": "c"}\n\n'
    assert _taken(Lines(None), text) == [ClientEvent("e.7.1", "container_health_changed", {"id": "c"})]


def test_an_id_alone_moves_the_place_to_resume_from() -> None:
    lines = Lines("e.1.0")
    assert _taken(lines, ": heartbeat\nid: e.9.0\n\n") == []
    assert lines.last_id == "e.9.0"


def test_an_event_without_its_end_is_none() -> None:
    lines = Lines(None)
    assert _taken(lines, 'event: gap\nid: e.1.0\ndata: {"after": "x"}') == []
    assert _taken(lines, "\n\nevent: gap\n\n") == [ClientEvent("e.1.0", "gap", {"after": "x"})]


def test_data_of_several_lines() -> None:
    assert _taken(Lines(None), 'event: node.left\ndata:{\ndata: "a": 1}\n\n') == [
        ClientEvent(None, "node_left", {"a": 1})
    ]

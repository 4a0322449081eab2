"""The dashboard's files fit together, and what they ask for is there."""

from __future__ import annotations

import re

from graphql import parse, validate

from api.graphql.execution import Request, prepare
from api.graphql.schema import schema
from hivemind.dashboard import static_files

FILES = static_files()
TEXTS = {path: file.body.decode() for path, file in FILES.items()}
QUERY, SUBSCRIPTION = re.findall(r"= `((?:query|subscription).*?)`;", TEXTS["/main.js"], re.DOTALL)


def test_nothing_comes_from_elsewhere_and_what_is_named_is_there() -> None:
    for path, text in TEXTS.items():
        assert not re.findall(r"""(?:src|href|from|url)\s*[=(]?\s*["']?(?:https?:)?//""", text), path
    page = TEXTS["/"]
    named = re.findall(r'(?:src|href)="([\w.]+)"', page) + re.findall(r'from "\./([\w.]+)"', TEXTS["/main.js"])
    assert {"style.css", "main.js", "connection.js", "tables.js"} <= set(named)
    assert {f"/{name}" for name in named} <= set(FILES)


def test_nothing_is_written_into_the_page_that_its_policy_forbids() -> None:
    assert not re.findall(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", TEXTS["/"])
    assert not any("innerHTML" in text or "eval(" in text for text in TEXTS.values())


def test_what_it_asks_for_is_in_the_schema_and_within_the_limits() -> None:
    query = QUERY.replace("${LIMIT}", re.findall(r"const LIMIT = (\d+)", TEXTS["/main.js"])[0])
    assert prepare(Request(query)).operation
    assert not validate(schema(), parse(SUBSCRIPTION))

"""The document as one page of HTML: no scripts, nothing from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from html import escape
from typing import Any

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:60rem;padding:1rem 1.5rem;color:#1c2430}
h1{font-size:1.6rem}h2{margin-top:2rem;border-bottom:1px solid #d5dbe3;text-transform:capitalize}
details{border:1px solid #d5dbe3;border-radius:6px;margin:.4rem 0}
summary{cursor:pointer;padding:.45rem .7rem}details>div{padding:0 .9rem .7rem}
code,pre{font:13px/1.45 ui-monospace,monospace}pre{background:#f3f5f8;padding:.7rem;overflow:auto;border-radius:6px}
b{display:inline-block;min-width:4.5rem;color:#0b57a4}td{padding:.1rem .8rem .1rem 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{background:#12161c;color:#dfe5ec}pre{background:#1d232c}b{color:#7db7f5}
details,h2{border-color:#333c48}a{color:#7db7f5}}
""".strip()


def render(document: dict[str, Any]) -> str:
    """`document` as `api.openapi.document.build` makes it."""
    return "".join(_parts(document))


def _parts(document: dict[str, Any]) -> Iterator[str]:
    info = document["info"]
    yield (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(info["title"])}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
        f"<h1>{escape(info['title'])} {escape(info['version'])}</h1><p>{escape(info['description'])} "
        f'Paths are below <code>/api</code>. <a href="openapi.json">openapi.json</a></p>'
    )
    by_tag: dict[str, list[str]] = {}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            by_tag.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    for tag, operations in sorted(by_tag.items()):
        yield f"<h2>{escape(tag)}</h2>" + "".join(operations)
    yield "</body></html>"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    inner = f"<p>{escape(operation.get('description', 'Open to all.'))}</p>"
    rows = "".join(
        f"<tr><td><code>{escape(p['name'])}</code></td><td>{p['in']}</td>"
        f"<td>{escape(str(p['schema'].get('type', '')))}</td><td>{escape(p.get('description', ''))}</td></tr>"
        for p in operation["parameters"]
    )
    if rows:
        inner += f"<table>{rows}</table>"
    body = operation.get("requestBody")
    if body is not None:
        inner += "<p>Request</p>" + _code(next(iter(body["content"].values())).get("example"))
    for status, response in operation["responses"].items():
        for media_type, content in response.get("content", {}).items():
            inner += f"<p>{status} <code>{escape(media_type)}</code></p>" + _code(content.get("example"))
    summary = escape(operation["summary"])
    return (
        f"<details><summary><b>{method.upper()}</b> <code>{escape(path)}</code> {summary}</summary>"
        f"<div>{inner}</div></details>"
    )


def _code(example: Any) -> str:
    return "" if example is None else f"<pre>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</pre>"

"""The expressions of libnftables-json(5) that our rules are made of. Pure."""

from __future__ import annotations

from typing import Any

from runtime.network.nft.ruleset import IPV4, Expression, Family


def source(family: Family) -> Expression:
    return {"payload": {"protocol": family.table, "field": "saddr"}}


def target(family: Family) -> Expression:
    return {"payload": {"protocol": family.table, "field": "daddr"}}


SOURCE, TARGET = source(IPV4), target(IPV4)
PROTOCOL: Expression = {"meta": {"key": "l4proto"}}
PORT: Expression = {"payload": {"protocol": "th", "field": "dport"}}
ACCEPT: Expression = {"accept": None}
DROP: Expression = {"drop": None}
RETURN: Expression = {"return": None}
MASQUERADE: Expression = {"masquerade": None}
TRANSLATED: Expression = {"match": {"op": "in", "left": {"ct": {"key": "status"}}, "right": "dnat"}}
"""Connections whose target was changed."""
ESTABLISHED: Expression = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
TARGET_IS_THIS_NODE: Expression = {
    "match": {"op": "==", "left": {"fib": {"result": "type", "flags": ["daddr"]}}, "right": "local"}
}


NEIGHBOURS: Expression = {
    "match": {
        "op": "==",
        "left": {"payload": {"protocol": "icmpv6", "field": "type"}},
        "right": {"set": ["nd-router-solicit", "nd-router-advert", "nd-neighbor-solicit", "nd-neighbor-advert"]},
    }
}
"""What IPv6 has in ARP's stead (RFC 4861): without it nobody is reached."""


def equal(left: Expression, right: Any) -> Expression:
    return {"match": {"op": "==", "left": left, "right": right}}


def unequal(left: Expression, right: Any) -> Expression:
    return {"match": {"op": "!=", "left": left, "right": right}}


def network(text: str) -> Expression:
    address, _, length = text.partition("/")
    return {"prefix": {"addr": address, "len": int(length)}}


def concatenation(*parts: Expression) -> Expression:
    return {"concat": list(parts)}


def goto_by(key: Expression, name: str) -> Expression:
    """To the chain that the verdict map `name` has for the packet; on where it has none."""
    return {"vmap": {"key": key, "data": f"@{name}"}}


def jump(chain: str) -> Expression:
    return {"jump": {"target": chain}}

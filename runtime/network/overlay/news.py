"""Which of the kernel's news can mean that something of ours was taken away. Pure.

A container's start makes a dozen news, of cables, addresses and rules that are none of ours; a look costs a few
milliseconds of CPU. So only losses count: what comes is either our own doing, or found by the next look.
Layouts: rtnetlink(7), linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

from collections.abc import Callable

from runtime.network.netlink_messages import attributes, messages
from runtime.network.overlay.firewall import CHAIN
from runtime.network.overlay.found import ROUTE_PROTOCOL
from runtime.network.overlay.plan import BRIDGE, VXLAN, WIREGUARD
from runtime.network.rtnetlink import (
    ADDRESS,
    LINK,
    LINK_IS_UP,
    LINK_NAME,
    LINK_SCOPE,
    NEIGHBOUR,
    PERMANENT,
    ROUTE,
)

LINKS = frozenset({BRIDGE, VXLAN, WIREGUARD})
CHAINS = frozenset({CHAIN, "DOCKER-USER", "FORWARD", "POSTROUTING"})
"""Where rules of ours are, or are entered from."""

_NFTABLES_HEADER_BYTES = 4

_NEW_LINK, _DELETE_LINK, _DELETE_ADDRESS, _DELETE_ROUTE, _DELETE_NEIGHBOUR = 16, 17, 21, 25, 29

_NFTABLES = 10 << 8
_DELETE_TABLE, _NEW_CHAIN, _DELETE_CHAIN, _DELETE_RULE = (_NFTABLES | kind for kind in (2, 3, 5, 8))
_CHAIN_NAME, _CHAIN_OF_RULE = 3, 2


def of_links(datagram: bytes, name_of: Callable[[int], str | None]) -> bool:
    """Whether an rtnetlink datagram tells of a loss. `name_of` names a link by its index, None if it has gone."""
    return any(_is_loss_of_link(kind, body, name_of) for kind, body in messages(datagram))


def of_rules(datagram: bytes) -> bool:
    """Whether an nftables datagram tells of one."""
    return any(_is_loss_of_rule(kind, body) for kind, body in messages(datagram))


def _is_loss_of_link(kind: int, body: bytes, name_of: Callable[[int], str | None]) -> bool:
    if kind in (_NEW_LINK, _DELETE_LINK) and len(body) >= LINK.size:
        *_, flags, _ = LINK.unpack_from(body)
        ours = _text(body[LINK.size :], LINK_NAME) in LINKS
        return ours and (kind == _DELETE_LINK or not flags & LINK_IS_UP)
    if kind == _DELETE_ADDRESS and len(body) >= ADDRESS.size:
        *_, scope, _ = ADDRESS.unpack_from(body)
        return bool(scope != LINK_SCOPE)
    if kind == _DELETE_ROUTE and len(body) >= ROUTE.size:
        return bool(ROUTE.unpack_from(body)[5] == ROUTE_PROTOCOL)
    if kind == _DELETE_NEIGHBOUR and len(body) >= NEIGHBOUR.size:
        _, _, index, state, _, _ = NEIGHBOUR.unpack_from(body)
        return bool(state & PERMANENT) and name_of(index) == VXLAN
    return False


def _is_loss_of_rule(kind: int, body: bytes) -> bool:
    told = body[_NFTABLES_HEADER_BYTES:]
    if kind in (_NEW_CHAIN, _DELETE_CHAIN):
        # A chain that is new may drop by its policy, as Docker makes FORWARD.
        return _text(told, _CHAIN_NAME) in CHAINS
    return kind == _DELETE_TABLE or (kind == _DELETE_RULE and _text(told, _CHAIN_OF_RULE) in CHAINS)


def _text(data: bytes, wanted: int) -> str | None:
    """The attribute of this kind."""
    found = next((value for kind, value in attributes(data) if kind == wanted), None)
    return None if found is None else found.rstrip(b"\0").decode(errors="replace")

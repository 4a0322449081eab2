"""The heads of the messages about links, addresses, routes and neighbours, and values in them (rtnetlink(7)). Pure."""

from __future__ import annotations

import struct

LINK = struct.Struct("=BxHiII")
"""Family, kind of device, index, flags, which flags change."""
ADDRESS = struct.Struct("=BBBBI")
"""Family, bits of the prefix, flags, scope, the link's index."""
ROUTE = struct.Struct("=8BI")
"""Family, bits of the destination, of the source, kind of service, table, protocol, scope, kind, flags."""
NEIGHBOUR = struct.Struct("=BxHiHBB")
"""Family, nothing, the link's index, state, flags, kind."""

PROTOCOL = 0
"""Of the socket (NETLINK_ROUTE)."""
BRIDGE_FAMILY = 7
LINK_NAME = 3
"""The attribute of a link."""
LINK_IS_UP = 1
LINK_SCOPE = 253
"""Of the addresses that a kernel with IPv6 gives every link by itself."""
PERMANENT = 0x80
"""State of a neighbour."""

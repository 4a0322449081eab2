"""Where a lab lives on this machine: the names that keep two labs beside each other apart."""

from __future__ import annotations

import os
import secrets
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """`prefix` begins the names of network namespaces and cgroups; `network` is the first three numbers of
    the hosts' /24; `root` holds the hosts' disks and goes with the lab."""

    prefix: str = "lab"
    network: str = "10.99.0"
    root: Path = Path("/tmp/hivemind-lab")

    @property
    def switch(self) -> str:
        return f"{self.prefix}sw"

    @property
    def gateway(self) -> str:
        """The switch's own address; nothing listens there, so a DNS query fails at once and never waits."""
        return f"{self.network}.1"

    @property
    def observer(self) -> str:
        """The address of this machine on the lab's switch: tests reach the hosts from here."""
        return f"{self.network}.254"

    def environment(self) -> dict[str, str]:
        """What tells the command `lab` of this place."""
        return {"LAB_PREFIX": self.prefix, "LAB_NET": self.network, "LAB_ROOT": str(self.root)}


def place_from_environment() -> Place:
    """LAB_PREFIX, LAB_NET and LAB_ROOT, each with its default."""
    default = Place()
    return Place(
        prefix=os.environ.get("LAB_PREFIX", default.prefix),
        network=os.environ.get("LAB_NET", default.network),
        root=Path(os.environ.get("LAB_ROOT", default.root)),
    )


def fresh_place() -> Place:
    """A place of its own, by chance: for a lab that a test starts beside whatever else there is."""
    name = secrets.token_hex(2)
    return Place(
        prefix=f"lab{name}",
        network=f"10.{100 + secrets.randbelow(100)}.{secrets.randbelow(255)}",
        root=Path(tempfile.gettempdir(), f"hivemind-lab-{name}"),
    )

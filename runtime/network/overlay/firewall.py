"""The rules that let the overlay's packets pass where others drop them, as text of iptables-save. Pure.

Docker sets the policy of FORWARD to DROP and keeps DOCKER-USER for rules like ours; it never touches that chain. A
firewall that drops by policy and has no Docker gets the jump into FORWARD. What leaves the cluster is masqueraded
here, and not by Docker's own rule: that one knows only the node's subnet, and would hide who talks to other nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from consensus.model.network import Encryption
from runtime.network.overlay.plan import BRIDGE, OverlayPlan

CHAIN = "HIVEMIND-OVERLAY"
_USER_CHAIN = "DOCKER-USER"
_MULTICAST, _MULTICAST6 = "224.0.0.0/4", "ff00::/8"


def of_ipv6(plan: OverlayPlan) -> OverlayPlan:
    """The plan as the functions of this module need it to speak to ip6tables."""
    return replace(plan, subnet=plan.subnet6, ranges=plan.ranges6, direct=None)


def filter_rules(plan: OverlayPlan, underlay: str) -> list[str]:
    """Rules of `CHAIN` in the filter table, in the words of iptables-save."""
    rules = []
    tunnel = plan.tunnel or underlay
    for each in sorted(plan.ranges):
        for outside in (tunnel,) if plan.direct is None else (underlay, tunnel):
            rules.append(f"-A {CHAIN} -s {each} -i {outside} -o {BRIDGE} -j ACCEPT")
            rules.append(f"-A {CHAIN} -d {each} -i {BRIDGE} -o {outside} -j ACCEPT")
        if plan.encryption is not Encryption.OFF:
            # Nobody speaks for a container of another node but through the tunnel.
            rules.append(f"-A {CHAIN} -s {each} -i {underlay} -o {BRIDGE} -j DROP")
    return rules


def nat_rules(plan: OverlayPlan) -> list[str]:
    """Rules of `CHAIN` in the nat table."""
    multicast = _MULTICAST6 if ":" in plan.subnet else _MULTICAST
    stay = [f"-A {CHAIN} -d {each} -j RETURN" for each in (*sorted(plan.ranges), multicast)]
    return [*stay, f"-A {CHAIN} ! -o {BRIDGE} -j MASQUERADE"]


def restore_input(saved: str, plan: OverlayPlan, underlay: str) -> str | None:
    """What to feed to `iptables-restore --noflush`; None: all is in place. `saved` is iptables-save's output."""
    found = tables(saved)
    have = found.get("filter", [])
    parts = []
    gate = _gate(have, plan)
    jumps = [] if gate is None else [f"-A {gate} -j {CHAIN}"]
    parts += _restored("filter", have, filter_rules(plan, underlay), jumps)
    jump = f"-A POSTROUTING -s {plan.subnet} -j {CHAIN}"
    parts += _restored("nat", found.get("nat", []), nat_rules(plan), [jump])
    return "\n".join([*parts, ""]) if parts else None


def removal_input(saved: str) -> str | None:
    """The same, to take all of it away."""
    parts = []
    for table, lines in tables(saved).items():
        jumps = [line for line in lines if line.endswith(f" -j {CHAIN}") and line.startswith("-A ")]
        if not jumps and f":{CHAIN}" not in _chains(lines):
            continue
        deletes = [line.replace("-A", "-D", 1) for line in jumps]
        parts += [f"*{table}", *deletes, f"-F {CHAIN}", f"-X {CHAIN}", "COMMIT"]
    return "\n".join([*parts, ""]) if parts else None


def _gate(lines: Sequence[str], plan: OverlayPlan) -> str | None:
    """The chain from which ours must be entered; None where all may pass and does."""
    if f":{_USER_CHAIN}" in _chains(lines):
        return _USER_CHAIN
    dropping = any(line.startswith(":FORWARD DROP") for line in lines)
    return "FORWARD" if dropping or plan.encryption is not Encryption.OFF else None


def _restored(table: str, have: Sequence[str], rules: Sequence[str], jumps: Sequence[str]) -> list[str]:
    own = [line for line in have if line.startswith(f"-A {CHAIN} ")]
    stale = [line for line in have if line.endswith(f" -j {CHAIN}") and line.startswith("-A ") and line not in jumps]
    missing = [jump for jump in jumps if jump not in have]
    if own == list(rules) and not missing and not stale:
        return []
    deletes = [line.replace("-A", "-D", 1) for line in stale]
    inserts = [jump.replace("-A", "-I", 1) for jump in missing]
    return [f"*{table}", f":{CHAIN} - [0:0]", *rules, *deletes, *inserts, "COMMIT"]


def _chains(lines: Sequence[str]) -> set[str]:
    return {line.partition(" ")[0] for line in lines if line.startswith(":")}


def tables(saved: str) -> dict[str, list[str]]:
    """The lines of iptables-save by their table: chains first, then rules."""
    found: dict[str, list[str]] = {}
    for line in saved.splitlines():
        if line.startswith("*"):
            current = found.setdefault(line[1:], [])
        elif line and not line.startswith("#") and line != "COMMIT":
            current.append(line)
    return found

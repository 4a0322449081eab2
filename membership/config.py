"""Settings of the protocol: one frozen object, three presets, and reasons.

The defaults are memberlist's (`config.go`, `DefaultLANConfig`, `DefaultWANConfig`), so that figures can be
compared; what memberlist leaves to Serf (reconnect, reap) follows Serf's defaults.
"""

from __future__ import annotations

import msgspec

from membership.codec import MIN_PACKET_BYTES
from membership.errors import ConfigError


class SwimConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How often, how long and how many. The defaults are the `lan` preset."""

    probe_interval_s: float = 1.0
    """One protocol period (SWIM §3.1): one member is probed in each. First detection takes e/(e-1) = 1.6
    periods on average whatever the size of the cluster, so this sets both detection time and load."""

    probe_timeout_s: float = 0.5
    """Wait for a direct ack before asking others. About the p99 round trip, and low enough to leave the
    rest of the period to the indirect probes."""

    early_probe_share: float = 0.2
    """Ask others as soon as the direct ack is late by what round trips usually take here, but not before this share
    of `probe_timeout_s`; and suspect after `probe_timeout_s` if by then all of them have found the same. Asking early
    costs nothing where acks come in milliseconds, and it makes detection half a period shorter. 1 turns
    both off: others are asked after `probe_timeout_s`, and the verdict comes when the period ends, as in the papers."""

    indirect_probes: int = 3
    """k of SWIM §3.1: members asked to probe in our place. At 1 % loss three make a false suspicion rare."""

    fallback_probe: bool = True
    """Also probe through the stream exchange after a direct timeout, so that a network that only loses UDP
    (a firewall, a one-way cut) leads to no suspicion."""

    nack_fraction: float = 0.8
    """A helper answers nack after this share of its probe timeout (Lifeguard §IV-A), so that the nack is
    back before the asking member's period ends."""

    suspicion_mult: float = 4
    """Shortest suspicion: mult · max(1, log10 n) · probe interval. Enough for the suspicion to reach the
    suspect and for its refutation to come back (alpha in Lifeguard §V)."""

    suspicion_max_mult: float = 6
    """Longest suspicion, in shortest ones: what one lone accuser has to wait (beta in Lifeguard §V).
    1 turns the dynamic timeout off."""

    suspicion_confirmations: int | None = None
    """Independent accusers besides the first that bring a suspicion to its shortest time. None is memberlist's
    suspicion_mult - 2; a number lets the shortest time be cut without trusting a lone accuser any more."""

    buddy: bool = True
    """Tell a suspect that it is suspected first thing in the next packet to it (Lifeguard §IV-C)."""

    awareness_max: int = 8
    """The local health multiplier goes from 1 to this (Lifeguard §IV-A). 1 turns it off."""

    gossip_interval_s: float = 0.2
    """Gossip besides the probes, so that news spread in fractions of a period."""

    gossip_burst: int = 4
    """So many rounds of gossip may follow each other at an eighth of the interval while news are left, and one more
    may for each quiet interval: many joins at once spread faster, for the same number of transmissions."""

    gossip_nodes: int = 3
    """Random members that each gossip tick sends to."""

    gossip_to_dead_s: float = 30.0
    """How long members believed dead still get gossip: a live one learns of its death and refutes."""

    retransmit_mult: int = 4
    """Each piece of news is sent mult · ceil(log10(n+1)) times (SWIM §4.1: lambda · log n)."""

    push_pull_interval_s: float = 30.0
    """Full exchange of state with one random member; repairs what gossip lost. Grows with log2(n/32)."""

    reconnect_interval_s: float = 30.0
    """How often a dead member is tried by a push-pull: heals partitions longer than `gossip_to_dead_s`."""

    exchange_timeout_s: float = 10.0
    """Bound of one push-pull."""

    reap_after_s: float = 24 * 3600.0
    """Dead and left members are forgotten after this; only their incarnation floor stays (Serf: 24 h)."""

    packet_bytes: int = 1400
    """Largest datagram, seal included: below the MTU of Ethernet with room for tunnels."""

    def validate(self) -> None:
        """Raise ConfigError with every reason why these settings cannot work together."""
        problems = [
            f"{field} must be above 0, not {value}"
            for field, value in (
                ("probe_interval_s", self.probe_interval_s),
                ("probe_timeout_s", self.probe_timeout_s),
                ("gossip_interval_s", self.gossip_interval_s),
                ("push_pull_interval_s", self.push_pull_interval_s),
                ("reconnect_interval_s", self.reconnect_interval_s),
                ("exchange_timeout_s", self.exchange_timeout_s),
                ("reap_after_s", self.reap_after_s),
            )
            if not value > 0
        ]
        checks = (
            (
                self.probe_timeout_s >= self.probe_interval_s,
                "probe_timeout_s must be below probe_interval_s: the rest of the period is for indirect probes",
            ),
            (
                not 0 < self.early_probe_share <= 1,
                "early_probe_share must lie above 0 and be at most 1 (1 turns it off)",
            ),
            (self.indirect_probes < 0, "indirect_probes must not be negative"),
            (not 0 < self.nack_fraction < 1, "nack_fraction must lie between 0 and 1: a nack at the end is late"),
            (self.suspicion_mult < 1, "suspicion_mult below 1 leaves a suspect no period to refute in"),
            (self.suspicion_max_mult < 1, "suspicion_max_mult below 1 puts the longest below the shortest"),
            (
                self.suspicion_confirmations is not None and self.suspicion_confirmations < 0,
                "suspicion_confirmations must not be negative (0 turns the dynamic timeout off)",
            ),
            (self.awareness_max < 1, "awareness_max must be at least 1 (1 turns the multiplier off)"),
            (self.gossip_nodes < 1, "gossip_nodes must be at least 1, or news never leave this member"),
            (self.gossip_burst < 0, "gossip_burst must not be negative (0 turns it off)"),
            (self.gossip_to_dead_s < 0, "gossip_to_dead_s must not be negative"),
            (self.retransmit_mult < 1, "retransmit_mult must be at least 1, or news are never sent"),
            (
                self.reap_after_s <= self.gossip_to_dead_s,
                "reap_after_s must be above gossip_to_dead_s: the reaped get no gossip",
            ),
            (
                not MIN_PACKET_BYTES <= self.packet_bytes <= 65_507,
                f"packet_bytes must lie between {MIN_PACKET_BYTES} (the largest message) and 65507 (UDP)",
            ),
        )
        problems += [reason for wrong, reason in checks if wrong]
        if problems:
            raise ConfigError("; ".join(problems))


def lan() -> SwimConfig:
    """One data centre: memberlist's `DefaultLANConfig`.

    `suspicion_mult` 1.5 with `suspicion_max_mult` 16 and two confirmations needed would halve the time until all know
    of a death (p50 of 4.1 s, not 9.1 s, at 100 members and 1 % loss) for 1.4 % more bytes and no false death. It is
    not the default because it is paid for when many are ill: with 16 and 32 of 128 members blocked it makes five times
    as many false deaths (`scripts/sim detection --config fast`, `scripts/sim lifeguard-presets`).
    """
    return SwimConfig()


def wan() -> SwimConfig:
    """Between sites, with round trips up to seconds: memberlist's `DefaultWANConfig`."""
    return SwimConfig(
        probe_interval_s=5.0,
        probe_timeout_s=3.0,
        suspicion_mult=6,
        gossip_interval_s=0.5,
        gossip_nodes=4,
        gossip_to_dead_s=60.0,
        push_pull_interval_s=60.0,
        exchange_timeout_s=30.0,
    )


def local() -> SwimConfig:
    """One machine or one quiet switch, and tests: detects in a third of `lan`'s time, for four times its load."""
    return SwimConfig(
        probe_interval_s=0.4,
        probe_timeout_s=0.2,
        suspicion_mult=3,
        gossip_interval_s=0.1,
        gossip_to_dead_s=15.0,
        push_pull_interval_s=10.0,
        reconnect_interval_s=5.0,
        exchange_timeout_s=5.0,
    )


PRESETS = {"lan": lan, "wan": wan, "local": local}

"""Who is in the cluster, and who is alive: SWIM with Lifeguard. This package knows of nothing above it.

**The problem.** Every member wants to know all others and to learn soon when one dies. If all sent heartbeats to all,
the load would grow with n². SWIM (Das, Gupta, Motivala 2002) splits the problem in two, at constant load per member.

**Detecting failure** (`probe.py`). Once in a protocol period each member pings one other, in round robin over a random
order (`rotation.py`). If the ack is late, it asks k others to ping in its place, so that one bad link accuses nobody;
at the same time it asks over a stream, so that a network that loses only UDP accuses nobody either. `rtt.py` keeps
the round trips of the acks, and so knows what late is.

**Suspecting before condemning** (`suspicion.py`). Whoever answered to nobody is *suspect*, not dead. It hears of
that, and refutes by announcing itself under a higher *incarnation*, a number that only it may raise. If it does not
in time, it is *dead*. `member.py` holds the states and the order in which claims override each other (SWIM §4.2);
`view.py` applies claims to the table by that order, whoever brings them and however often, so that repeated, late
and replayed claims change nothing. `store.py` keeps our own incarnation over restarts.

**Spreading the news** (`dissemination.py`, `packing.py`). News ride on pings and acks, each O(log n) times, least sent
first, and in rounds of gossip besides (`gossip.py`). Vitals (`vitals.py`: load and the like, opaque to us) have a
queue of their own and get only the room that news leave over. Gossip is only probably complete, so members also
exchange all they know with a random other now and then, when they join, and with the dead, to heal partitions: now
and then, and at once with one that a layer above has met (`anti_entropy.py`). The layers above may send events to all
along the same ways (`events.py`).

**Knowing the distances** (`coordinates.py`). Acks carry network coordinates (Vivaldi), from which the round trip
between any two members is estimated.

**Doubting oneself** (Lifeguard: Dadgar, Phillips, Currey 2018). Most false accusations come from accusers that are
slow themselves. `awareness.py` counts the signs of that (missing acks and nacks, accusations of oneself) and
stretches the own probes. A suspicion starts long and gets shorter with each independent accuser (`suspicion.py`).
A suspect is told first thing in the next packet to it (the buddy system, `packing.py`).

**Where it differs from memberlist**, whose defaults it shares: news leave at once and in short bursts (`gossip.py`);
helpers are asked before half the period is over, and their unanimous nacks end it (`probe.py`); who alone missed a
refutation gets it from the refuted (`swim.py`); who joins exchanges state twice (`anti_entropy.py`).

**How it is built.** `swim.py` is a pure core with one door: `Swim.handle(input, now_s)` takes one of `inputs.py` (a
packet, a timer of `timers.py`, a call) and answers with `effects.py` to perform. It imports no trio, socket, time
or random. `driver.py` performs them on trio, with `timer_queue.py`, `joining.py` and `changes.py`; `messages.py` says
what travels, `codec.py` how, with bounds on every field, `keyring.py` seals it, and `key_distribution.py` changes the
keys of all; `transport.py` has UDP and the Protocols, `memory.py` and `faults.py` a network in memory that loses,
delays, doubles and cuts. `config.py` explains each setting and has the presets `lan`, `wan` and `local`; `counters.py`
and `health.py` are what is measured; `errors.py` the error tree.
"""

from membership.changes import Subscription
from membership.config import PRESETS, SwimConfig, lan, local, wan
from membership.coordinates import Coordinate
from membership.driver import EXCHANGE_KINDS, Membership
from membership.effects import Change, MemberChanged, MemberConflict, MemberReaped, UserEventHeard, VitalsChanged
from membership.errors import (
    CodecError,
    ConfigError,
    ExchangeRefused,
    KeyringError,
    MembershipError,
    MetaTooLarge,
    NotRunning,
    NotSealedForUs,
    VersionMismatch,
)
from membership.health import Health
from membership.inputs import Peer
from membership.joining import JoinReport
from membership.key_distribution import KeyReport, fingerprint
from membership.keyring import KEY_BYTES, MAX_KEYS, Keyring
from membership.member import Address, Member, MemberState
from membership.messages import MAX_EVENT_BYTES, MAX_META_BYTES, MAX_VITALS_BYTES, KeyOperation, UserEvent
from membership.store import FileIncarnationStore, IncarnationStore, MemoryIncarnationStore
from membership.transport import PacketTransport, StreamExchange, UdpTransport

__all__ = [
    "EXCHANGE_KINDS",
    "KEY_BYTES",
    "MAX_EVENT_BYTES",
    "MAX_KEYS",
    "MAX_META_BYTES",
    "MAX_VITALS_BYTES",
    "PRESETS",
    "Address",
    "Change",
    "CodecError",
    "ConfigError",
    "Coordinate",
    "ExchangeRefused",
    "FileIncarnationStore",
    "Health",
    "IncarnationStore",
    "JoinReport",
    "KeyOperation",
    "KeyReport",
    "Keyring",
    "KeyringError",
    "Member",
    "MemberChanged",
    "MemberConflict",
    "MemberReaped",
    "MemberState",
    "Membership",
    "MembershipError",
    "MemoryIncarnationStore",
    "MetaTooLarge",
    "NotRunning",
    "NotSealedForUs",
    "PacketTransport",
    "Peer",
    "StreamExchange",
    "Subscription",
    "SwimConfig",
    "UdpTransport",
    "UserEvent",
    "UserEventHeard",
    "VersionMismatch",
    "VitalsChanged",
    "fingerprint",
    "lan",
    "local",
    "wan",
]

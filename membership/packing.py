"""Putting packets together: what must be said first, then news, then vitals, as far as the room goes.

Every packet passes here, so this is where piggybacking (SWIM §4.1), the buddy system (Lifeguard §IV-C) and the rule
that vitals get only what news leave over are kept.
"""

from __future__ import annotations

from membership.codec import DATAGRAM_OVERHEAD_BYTES, encode_message, encode_packet, packet_overhead_bytes
from membership.config import SwimConfig
from membership.counters import Counters
from membership.dissemination import BroadcastQueue, transmit_limit
from membership.effects import Effect, Send
from membership.member import Address, MemberState, MemberTable
from membership.messages import MAX_MESSAGES_PER_PACKET, Dead, Message, Suspect


class PacketWriter:
    """Builds packets from the queues, the most important one first, and appends the Send effects."""

    def __init__(
        self,
        config: SwimConfig,
        own_name: str,
        table: MemberTable,
        queues: tuple[BroadcastQueue, ...],
        counters: Counters,
        effects: list[Effect],
    ) -> None:
        self._config = config
        self._own_name = own_name
        self._table = table
        self._queues = queues
        self._counters = counters
        self._effects = effects
        self._room_bytes = config.packet_bytes - DATAGRAM_OVERHEAD_BYTES - packet_overhead_bytes(own_name)

    def send(self, target: Address, name: str, *messages: Message) -> None:
        """Send the messages to the member `name`, with as much gossip as fits."""
        parts = [encode_message(message) for message in messages]
        accusation = self._accusation(name)
        if accusation is not None:
            parts.append(encode_message(accusation))
        room = self._room_bytes - sum(len(part) for part in parts)
        limit = transmit_limit(self._config.retransmit_mult, self._table.live_count())
        member = self._table.get(name)
        likely_heard = member is None or member.state is MemberState.ALIVE
        for queue in self._queues:
            most = MAX_MESSAGES_PER_PACKET - len(parts)
            taken = queue.take(room_bytes=room, limit=limit, most=most, counted=likely_heard)
            room -= sum(len(part) for part in taken)
            parts += taken
        if not parts:
            return
        packet = encode_packet(self._own_name, parts)
        self._counters.packets_sent += 1
        self._counters.bytes_sent += len(packet) + DATAGRAM_OVERHEAD_BYTES
        self._effects.append(Send(target, packet))

    def _accusation(self, name: str) -> Suspect | Dead | None:
        """What the receiver must hear about itself, so that it can refute at once."""
        member = self._table.get(name)
        if not self._config.buddy or member is None:
            return None
        if member.state is MemberState.SUSPECT:
            return Suspect(name, member.incarnation, self._own_name)
        if member.state is MemberState.DEAD:
            return Dead(name, member.incarnation, self._own_name)
        return None

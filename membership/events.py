"""User events: short messages of the layers above to all members (Serf's user events).

They ride on the gossip like news, but behind them, and each member hands each of them to its subscribers once. Their
author numbers them. Push-pull carries the recent ones, so that a member that gossip missed hears them late rather than
never; one that has just joined does not hear what was said before it came.

Order is not kept. An event whose author is unknown here waits for nobody: it is dropped, and comes with a push-pull.
"""

from __future__ import annotations

from collections.abc import Sequence

from membership.codec import encode_message
from membership.dissemination import BroadcastQueue
from membership.effects import Effect, UserEventHeard
from membership.member import MemberTable
from membership.messages import UserEvent

WINDOW = 256
"""Events of one author that are told apart; one that is so much older than its newest counts as heard."""
RECENT_EVENTS = 128
RECENT_S = 120.0
"""What push-pulls carry: a few push-pull intervals' worth."""
MAX_QUEUED = 1024
"""More wait for a push-pull: bounds memory where events come faster than they can be gossiped."""


class _Heard:
    """Which numbers of one author were heard: the newest, and a bit for each in the window below it."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        self.newest = 0
        self.bits = 0

    def add(self, number: int) -> bool:
        """True if the number is new."""
        if number > self.newest:
            self.bits = ((self.bits << (number - self.newest)) | 1) & ((1 << WINDOW) - 1) if self._near(number) else 1
            self.newest = number
            return True
        behind = self.newest - number
        if behind >= WINDOW or self.bits >> behind & 1:
            return False
        self.bits |= 1 << behind
        return True

    def _near(self, number: int) -> bool:
        return number - self.newest < WINDOW


class EventBoard:
    """The events that this member has heard of."""

    def __init__(self, own_name: str, table: MemberTable, queue: BroadcastQueue, effects: list[Effect]) -> None:
        self._own_name = own_name
        self._number = 0
        self._table = table
        self._queue = queue
        self._effects = effects
        self._heard: dict[str, _Heard] = {}
        self._recent: dict[tuple[str, int, int], tuple[float, UserEvent]] = {}

    def say(self, name: str, payload: bytes, now_s: float) -> None:
        """Tell all members, this one included."""
        self._number += 1
        epoch = self._table.members[self._own_name].incarnation
        heard = self._heard.setdefault(self._own_name, _Heard(epoch))
        event = UserEvent(self._own_name, heard.epoch, self._number, name, payload)
        heard.add(self._number)
        self._spread(event, now_s)
        self._effects.append(UserEventHeard(event))

    def hear(self, event: UserEvent, now_s: float, *, tell: bool = True) -> None:
        """Take an event, unless it was heard before. Not `tell` means: only remember that it was."""
        if event.author == self._own_name or self._table.get(event.author) is None:
            return
        heard = self._heard.get(event.author)
        if heard is None or event.epoch > heard.epoch:
            heard = self._heard[event.author] = _Heard(event.epoch)
        if event.epoch == heard.epoch and heard.add(event.number) and tell:
            self._spread(event, now_s)
            self._effects.append(UserEventHeard(event))

    def recent(self, now_s: float) -> Sequence[UserEvent]:
        """What a push-pull should carry."""
        for key in [key for key, (heard_s, _) in self._recent.items() if heard_s < now_s - RECENT_S]:
            del self._recent[key]
        return tuple(event for _, event in self._recent.values())

    def forget(self, name: str) -> None:
        """Drop a member that is gone."""
        self._heard.pop(name, None)

    def _spread(self, event: UserEvent, now_s: float) -> None:
        self._recent[(event.author, event.epoch, event.number)] = (now_s, event)
        if len(self._recent) > RECENT_EVENTS:
            del self._recent[next(iter(self._recent))]
        if len(self._queue) < MAX_QUEUED:
            self._queue.put(f"{event.author}/{event.epoch}/{event.number}", encode_message(event))

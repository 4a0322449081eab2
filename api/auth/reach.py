"""How far a permission goes: over everything, or over some namespaces."""

from __future__ import annotations

from msgspec import Struct


class Reach(Struct, frozen=True):
    """`namespaces` None: everything, also what is in no namespace."""

    namespaces: frozenset[str] | None = frozenset()

    @property
    def everywhere(self) -> bool:
        return self.namespaces is None

    @property
    def nowhere(self) -> bool:
        return self.namespaces is not None and not self.namespaces

    def holds(self, namespace: str | None) -> bool:
        """Whether what is in `namespace` (None: in none) is within it."""
        return self.namespaces is None or namespace in self.namespaces

    def __and__(self, other: Reach) -> Reach:
        if self.namespaces is None:
            return other
        return self if other.namespaces is None else Reach(self.namespaces & other.namespaces)

    def __or__(self, other: Reach) -> Reach:
        if self.namespaces is None or other.namespaces is None:
            return EVERYWHERE
        return Reach(self.namespaces | other.namespaces)


EVERYWHERE = Reach(None)
NOWHERE = Reach()

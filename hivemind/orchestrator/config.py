"""Periods of the orchestrator's work. How it places is set for the whole cluster: `consensus.model.scheduling`."""

from __future__ import annotations

from msgspec import Struct


class OrchestratorConfig(Struct, frozen=True, kw_only=True):
    """Periods of the leader's work.

    Attributes:
        lost_after_s: a node that membership holds suspect or dead is lost when the peer channel, too, has not
            answered for so long (design.md §3).
        restart_grace_s: for so long nothing is moved from a node that announced a restart.
        unheard_grace_s: a node of which a new leader's membership knows nothing is doubted after so long: after a
            restart of the whole cluster gossip needs a few probe periods to find everybody.
        voter_grace_s: a lost voter is replaced after so long. Long enough for a reboot of a virtual machine.
        settle_s: after the loss of more than a third of the nodes, rescheduling goes on when nothing has changed
            for so long. About two suspicion timeouts, so that all that went down together is known.
        batch_window_s: the least time between two plans, in which news is gathered. Below what a user can see, above
            the time in which the reports of containers that were started together arrive.
        cpu_read_s: how often the counters of apps that are scaled by their use are read. Costs their nodes about 1 ms a
            replica; a change is seen after two readings.
        retry_pause_s: after a proposal that came to nothing.
    """

    lost_after_s: float = 2.0
    restart_grace_s: float = 60.0
    unheard_grace_s: float = 10.0
    voter_grace_s: float = 30.0
    settle_s: float = 10.0
    batch_window_s: float = 0.005
    cpu_read_s: float = 2.0
    retry_pause_s: float = 0.2
    propose_timeout_s: float = 10.0

    @property
    def ping_timeout_s(self) -> float:
        """How long a doubted node has to answer. With the pause, two pings fit: one that is lost is no proof."""
        return self.lost_after_s / 2

    @property
    def ping_interval_s(self) -> float:
        """The pause between two pings."""
        return self.lost_after_s / 4

    def validate(self) -> None:
        """Raises ValueError with the name of what is wrong."""
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if isinstance(value, float) and value <= 0:
                raise ValueError(f"{name} must be positive, got {value:g}")

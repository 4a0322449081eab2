"""How tasks are placed: the settings `scheduler.*`."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

PackingStrategy = Literal["WorstFit", "BestFit", "FirstFit", "Random"]
_Ratio = Meta(ge=0.1, le=100)
_Weight = Meta(ge=0, le=1)


class SchedulerSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Each field is a setting of its own; the description is what users are told of it.

    CPU is shared by time, memory hardly: hence the ratios. The weights are shares of a node's score; what they
    multiply is in `hivemind/orchestrator/scheduler/score.py`.
    """

    cpu_overcommit_ratio: Annotated[
        float, _Ratio, Meta(description="how much CPU may be requested of a node, as a multiple of what it has")
    ] = 1.5
    memory_overcommit_ratio: Annotated[
        float, _Ratio, Meta(description="how much memory may be requested of a node, as a multiple of what it has")
    ] = 1.2
    strategy: Annotated[
        PackingStrategy,
        Meta(description="among equals: the emptiest node, the fullest, the first by name, or one at random"),
    ] = "WorstFit"
    random_seed: Annotated[int, Meta(ge=0, le=2**31 - 1, description="what strategy Random draws from")] = 0
    weight_load: Annotated[float, _Weight, Meta(description="how much a node's idleness counts")] = 0.4
    weight_network: Annotated[
        float, _Weight, Meta(description="how much the nearness of related tasks counts, by round-trip time")
    ] = 0.3
    weight_affinity: Annotated[float, _Weight, Meta(description="how much the company of wanted services counts")] = 0.2
    weight_anti_affinity: Annotated[
        float, _Weight, Meta(description="how much the company of unwanted services counts against a node")
    ] = 0.2
    weight_strategy: Annotated[float, _Weight, Meta(description="how much the strategy counts")] = 0.1
    rebalance: Annotated[
        bool, Meta(description="whether running tasks are moved when nodes come or the load is uneven")
    ] = True
    rebalance_threshold: Annotated[
        float,
        Meta(ge=0.01, le=1, description="by what share of a node the load of two may differ before tasks are moved"),
    ] = 0.2
    rebalance_settle_s: Annotated[
        float, Meta(ge=0, le=86400, description="how long a node must have been ready before tasks are moved to it")
    ] = 30.0

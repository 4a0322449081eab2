"""Applications as the cluster keeps them. What a user asks for is in `app_spec`."""

from __future__ import annotations

from msgspec import Struct, field

from consensus.model.app_spec import AppSpec
from consensus.model.autoscale import Autoscaled


class Revision(Struct, frozen=True):
    """One entry of an app's history. `number` counts from 1; `revision` finds the spec; `reason` is one line."""

    number: int
    revision: int
    created_at_s: float
    reason: str = ""


class Standby(Struct, frozen=True):
    """A second, complete set of replicas that gets no traffic: the one to come, or (`until_s`) the one before.

    `until_s`: Unix seconds; 0 where it is no longer needed.
    """

    revision: int
    replicas: int
    until_s: float | None = None


class App(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An application as the cluster keeps it.

    `generation` counts what replicas must be made anew for (a restart, a changed spec); a task of an older
    generation is outdated, and the leader replaces it. `revision` is the log index at which `spec` was stored;
    its `replicas` is the number wanted now. While a deployment goes on (`rollout` is its id), spec and revision are
    the old ones until the new ones have proved good. `history` is oldest first, its last entry is the present.
    `failed_rollout` is the deployment that failed last, until one is completed.
    `places` of a global app: the node of each slot. `autoscaled`: the last time that it was scaled by its use.
    `architectures` by revision: of its image, where a node has found that it cannot run it.
    """

    spec: AppSpec
    revision: int
    generation: int = 1
    created_at_s: float
    updated_at_s: float
    rollout: str = ""
    failed_rollout: str = ""
    standby: Standby | None = None
    history: tuple[Revision, ...] = ()
    places: dict[int, str] = field(default_factory=dict)
    autoscaled: Autoscaled | None = None
    architectures: dict[int, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def service_name(self) -> str:
        return self.spec.service or self.spec.name

"""Deployments: an app on its way from one revision to another. Every step is state, so any leader can go on with it."""

from __future__ import annotations

import enum
from typing import Annotated

from msgspec import Meta, Struct, field

from consensus.model.app import App
from consensus.model.app_spec import MAX_REPLICAS, AppSpec
from consensus.model.image import Architectures, Digest
from consensus.model.namespace import DEFAULT
from consensus.model.strategy import ABTesting, BlueGreen, Canary, RollingUpdate, Simple, Strategy


class DeploymentStatus(enum.StrEnum):
    """`rolled_back`: also what was never executed, and was given up by hand or for newer ones."""

    PENDING = "pending"
    IN_PROGRESS = "in_progress"
    PAUSED = "paused"
    ROLLING_BACK = "rolling_back"
    COMPLETED = "completed"
    FAILED = "failed"
    ROLLED_BACK = "rolled_back"

    @property
    def active(self) -> bool:
        """Whether it holds its app: a second one must wait."""
        return self in (self.IN_PROGRESS, self.PAUSED, self.ROLLING_BACK)

    @property
    def finished(self) -> bool:
        return self in (self.COMPLETED, self.FAILED, self.ROLLED_BACK)


class Change(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What becomes different. `spec` is a whole new one; else what is given here overlays the app's own.

    `image_digest` and `image_architectures` go with `image`, and never without it.
    """

    spec: AppSpec | None = None
    image: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    image_digest: Digest = ""
    image_architectures: Architectures = field(default_factory=list)
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] | None = None
    environment: dict[str, str] | None = None
    labels: dict[str, str] | None = None


class Move(enum.StrEnum):
    """What the leader decides about a deployment. `HOOK`: its next hook is run; `START`: after that, the first step."""

    HOOK = "hook"
    START = "start"
    STEP = "step"
    PROMOTE = "promote"
    COMPLETE = "complete"
    FAIL = "fail"
    FORCE = "force"
    ROLLED_BACK = "rolled_back"


class HookRun(Struct, frozen=True):
    """A hook, by its name in the strategy, and the run of it."""

    name: str
    run_id: str


class Deployment(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`version` counts its changes, so that a decision made on older news changes nothing.

    Attributes:
        namespace: the app's, also when that is gone.
        replicas: how many there shall be at the end; previous_replicas: how many there were.
        new_revisions: what is deployed: one, or one for each variant until a winner is found.
        in_place: its replicas are those of before; only what they are not made of changes.
        step: from 1; 0 while it has not begun, or its `pre` hook runs.
        steps: how many there are in all, whatever becomes of the number of replicas.
        step_at_s: when the present step, or the rollback, began.
        approved_step: steps up to this one were promoted by hand.
        promoted: the app's own spec is the new one by now.
        forgiven: failing replicas that a promotion by hand accepted.
        hook_runs: of the hooks that were begun; skipped_hooks: whose failure a promotion by hand accepted.
        forced: the rollback goes on without regard to what serves, since nothing else helped in time.
    """

    id: str
    app: str
    namespace: str = DEFAULT
    change: Change
    strategy: Strategy
    image: str
    image_digest: Digest = ""
    replicas: int
    status: DeploymentStatus = DeploymentStatus.PENDING
    message: str = ""
    version: int = 0
    created_at_s: float
    started_at_s: float | None = None
    completed_at_s: float | None = None
    previous_replicas: int = 0
    old_revision: int = 0
    new_revisions: tuple[int, ...] = ()
    in_place: bool = False
    step: int = 0
    steps: int = 0
    step_at_s: float = 0.0
    approved_step: int = 0
    promoted: bool = False
    forgiven: int = 0
    forced: bool = False
    hook_runs: tuple[HookRun, ...] = ()
    skipped_hooks: tuple[str, ...] = ()

    def run_of_hook(self, name: str) -> str | None:
        """None: it was not begun."""
        return next((hook.run_id for hook in self.hook_runs if hook.name == name), None)

    @property
    def next_hook(self) -> str:
        """Which hook it is the turn of."""
        if self.status is DeploymentStatus.ROLLING_BACK:
            return "rollback"
        return "post" if self.promoted else "pre"

    @property
    def total_steps(self) -> int:
        return self.steps or steps_of(self.strategy, self.previous_replicas)

    @property
    def new_revision(self) -> int:
        """Of the winner, where there were variants."""
        return self.new_revisions[0]


def steps_of(strategy: Strategy, replicas: int) -> int:
    """How many steps it takes to change `replicas`."""
    match strategy:
        case RollingUpdate():
            return max(1, -(-replicas // batch_size(strategy, replicas)))
        case Canary():
            return len(strategy.percentages)
        case Simple() | BlueGreen() | ABTesting():
            return 2


def batch_size(strategy: RollingUpdate, replicas: int) -> int:
    return sum(strategy.at_once(replicas))


class Share(Struct, frozen=True):
    revision: int
    replicas: int


def shares(app: App, deployment: Deployment | None) -> list[Share]:
    """How many of `app`'s replicas shall be of which revision now, the newest first. A standby set is not in it."""
    replicas = app.spec.replicas
    if deployment is None or deployment.promoted or deployment.status is DeploymentStatus.ROLLING_BACK:
        return [Share(app.revision, replicas)]
    if deployment.step == 0:
        return [Share(app.revision, replicas)]
    wanted = [
        Share(revision, count)
        for revision, count in zip(deployment.new_revisions, _new_replicas(deployment, replicas), strict=True)
    ]
    rest = replicas - sum(share.replicas for share in wanted)
    if isinstance(deployment.strategy, Simple):
        rest = 0
    elif isinstance(deployment.strategy, Canary) and replicas and not app.spec.is_global:
        # A single replica, too, has a canary beside it: in its place, that one would get all requests.
        rest = max(rest, deployment.step < deployment.total_steps)
    return [share for share in (*wanted, Share(app.revision, rest)) if share.replicas]


class RequestShare(Struct, frozen=True):
    """The percent of an app's requests that a new revision shall get, served by so many replicas."""

    percent: int
    replicas: int


def request_split(app: App, deployment: Deployment | None) -> dict[int, RequestShare]:
    """By new revision, where the strategy divides requests by percents; the rest is the present revision's."""
    if deployment is None or deployment.promoted or deployment.status is DeploymentStatus.ROLLING_BACK:
        return {}
    strategy, step = deployment.strategy, deployment.step
    percents: list[int] = []
    if isinstance(strategy, Canary) and step >= 1:
        percents = [strategy.percentages[min(step, len(strategy.percentages)) - 1]]
    elif isinstance(strategy, ABTesting) and step == 1:
        percents = [variant.percentage for variant in strategy.variants]
    counts = _new_replicas(deployment, app.spec.replicas) if percents else []
    return {
        revision: RequestShare(percent, count)
        for revision, percent, count in zip(deployment.new_revisions, percents, counts, strict=False)
    }


def _new_replicas(deployment: Deployment, replicas: int) -> list[int]:
    """Of each new revision at the present step."""
    strategy, step = deployment.strategy, deployment.step
    match strategy:
        case Simple():
            return [replicas if step >= 2 else 0]
        case RollingUpdate():
            # Where the app was scaled up meanwhile, the batches are larger: the steps stay as many.
            batch = max(batch_size(strategy, replicas), -(-replicas // deployment.total_steps))
            return [min(replicas, step * batch)]
        case BlueGreen():
            return [0]
        case Canary():
            percentages = strategy.percentages
            percent = percentages[min(step, len(percentages)) - 1]
            return [replicas if percent == 100 else min(-(-replicas * percent // 100), max(1, replicas - 1))]
        case ABTesting():
            if step >= 2:
                return [replicas]
            return _split([variant.percentage for variant in strategy.variants], replicas)


def _split(percentages: list[int], replicas: int) -> list[int]:
    """Largest remainders, so that the parts sum to their share of `replicas`; nobody gets none where that can be."""
    exact = [percentage * replicas for percentage in percentages]
    counts = [value // 100 for value in exact]
    most = max(0, replicas - (sum(percentages) < 100))
    total = min(most, max(round(sum(exact) / 100), len(percentages)))
    order = sorted(range(len(exact)), key=lambda i: (counts[i] > 0, -(exact[i] % 100), i))
    for i in order[: total - sum(counts)]:
        counts[i] += 1
    for i, count in enumerate(counts):
        if not count and max(counts) > 1:
            counts[counts.index(max(counts))] -= 1
            counts[i] = 1
    return counts

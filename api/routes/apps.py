"""Apps: deploy, look at, scale, restart, delete."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from api import image_pins
from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.deps import PlannedReplica
from api.errors import InternalError, refused
from api.route import Access, Kind, Listing, Parameter, Route, Subject
from api.views.app import AppDetail, AppItem, app_detail, app_item
from consensus.commands import DeleteApp, DeployApp, RestartApp, ScaleApp
from consensus.model.app_spec import MAX_REPLICAS, AppSpec
from consensus.model.image import known_digest, settled
from consensus.namespaces import namespace_of
from consensus.outcomes import Deployed, Refusal, Scaled


class DeployAnswer(Struct, frozen=True, omit_defaults=True):
    """`container_ids` are of the first 500 replicas; more are made a moment later. `warnings`: what did not go as
    asked."""

    app_id: str
    container_ids: list[str]
    service_id: str
    message: str
    warnings: list[str] = []


class DryRunAnswer(Struct, frozen=True, omit_defaults=True):
    """What a deploy would do. `preempted`: the containers that would make room and be queued again. `image_digest`:
    which image all replicas would run."""

    app_id: str
    placements: list[PlannedReplica]
    preempted: list[str]
    message: str
    image_digest: str | None = None
    warnings: list[str] = []


class ScaleBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)]


class ScaleAnswer(Struct, frozen=True):
    name: str
    previous_replicas: int
    new_replicas: int
    message: str


class NameBody(Struct, frozen=True, forbid_unknown_fields=True):
    name: str


async def deploy(call: Call) -> Answer:
    spec = await call.body(AppSpec)
    refuse_problems(spec.problems())
    pins = await image_pins.ask(call, image_pins.images_of(spec))
    spec = settled(spec, pins.found)
    if call.query.boolean("dry_run"):
        return await _dry_run(call, spec, pins.warnings)
    outcome = await call.propose(DeployApp(spec=spec))
    if not isinstance(outcome, Deployed):
        raise InternalError(f"a deploy was answered with {type(outcome).__name__}")
    message = "Application deployed successfully"
    answer = DeployAnswer(outcome.name, outcome.task_ids, outcome.service, message, pins.warnings)
    return Answer(answer, status=201)


async def _dry_run(call: Call, spec: AppSpec, warnings: list[str]) -> Answer:
    call.require(spec.namespace)
    plan = call.deps.plan_deploy
    if plan is None:
        raise InternalError("this node has no scheduler")
    found = await plan(spec)
    if isinstance(found, Refusal):
        raise refused(found)
    # It may make room in namespaces that the client does not see.
    preempted = [i for i in found.preempted if call.reach.holds(namespace_of(call.state, "tasks", i))]
    placed = sum(one.node_id is not None for one in found.placements)
    message = f"{placed} of {len(found.placements)} replicas would be placed"
    if found.preempted:
        message += " at once; for others less important ones would make room"
    digest = known_digest(spec.image, spec.image_digest)
    return Answer(DryRunAnswer(spec.name, found.placements, preempted, message, digest, warnings))


async def list_apps(call: Call) -> Answer:
    state = call.state
    return await call.listed(sorted(state.apps), lambda name: app_item(state, state.apps[name]))


async def get_app(call: Call) -> Answer:
    return Answer(app_detail(call.state, call.named(call.state.apps, "app_name", "app"), call.now_s))


async def scale(call: Call) -> Answer:
    body = await call.body(ScaleBody)
    outcome = await call.propose(ScaleApp(name=body.name, replicas=body.replicas), about=("apps", body.name))
    if not isinstance(outcome, Scaled):
        raise InternalError(f"a scale was answered with {type(outcome).__name__}")
    return Answer(
        ScaleAnswer(outcome.name, outcome.previous_replicas, outcome.new_replicas, "Application scaled successfully")
    )


async def restart(call: Call) -> Answer:
    body = await call.body(NameBody)
    await call.propose(RestartApp(name=body.name), about=("apps", body.name))
    return Answer(Message(name=body.name, message="Application restarted successfully"))


async def delete_app(call: Call) -> Answer:
    name = call.path["app_name"]
    await call.propose(DeleteApp(name=name))
    return Answer(Message(name=name, message="Application deleted successfully"))


_APP = Subject("apps", "app_name")
ROUTES = (
    Route(
        method="POST",
        path="/deploy",
        access=Access.OPERATE,
        permission="apps:create",
        handler=deploy,
        parameters=(Parameter("dry_run", Kind.BOOLEAN, "only tell where the replicas would go, and why not"),),
        body=AppSpec,
        answer=DeployAnswer,
        status=201,
        other_answers=((200, DryRunAnswer),),
    ),
    Route(
        method="GET",
        path="/apps",
        access=Access.VIEW,
        permission="apps:read",
        handler=list_apps,
        listing=Listing("apps", AppItem),
        of_state=True,
    ),
    Route(
        method="GET",
        path="/apps/{app_name}",
        access=Access.VIEW,
        permission="apps:read",
        handler=get_app,
        answer=AppDetail,
        subject=_APP,
        of_state=True,
    ),
    Route(
        method="DELETE",
        path="/apps/{app_name}",
        access=Access.OPERATE,
        permission="apps:delete",
        handler=delete_app,
        answer=Message,
        subject=_APP,
    ),
    Route(
        method="POST",
        path="/scale",
        access=Access.OPERATE,
        permission="apps:update",
        handler=scale,
        body=ScaleBody,
        answer=ScaleAnswer,
    ),
    Route(
        method="POST",
        path="/restart",
        access=Access.OPERATE,
        permission="apps:update",
        handler=restart,
        body=NameBody,
        answer=Message,
    ),
)

"""Deployments: how an app is changed. Also ``PUT /apps/{name}``, and an app's history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from api import image_pins
from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InternalError, InvalidRequest, NotFound
from api.route import Access, Listing, Route, Subject
from api.views.deployment import (
    DeploymentDetail,
    DeploymentItem,
    DeploymentProgress,
    RevisionItem,
    deployment_detail,
    deployment_item,
    deployment_progress,
    revision_item,
)
from consensus.commands import (
    AnyCommand,
    CreateDeployment,
    ExecuteDeployment,
    PromoteDeployment,
    RollbackDeployment,
)
from consensus.model.app import App
from consensus.model.app_spec import MAX_REPLICAS, AppSpec
from consensus.model.container import env_problems, image_problems
from consensus.model.deployment import Change, Deployment
from consensus.model.image import Architectures, Digest, digest_problems, image_fields, is_open, settled
from consensus.model.image_pin import open_images
from consensus.model.strategy import ONE_TEST, ABTesting, RollingUpdate, Strategy
from consensus.outcomes import Recorded


class DeploymentBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays as the app has it; `environment` and `labels` overlay the app's. `resolve_image`: whether
    the registry is asked which image `image` is now, by default as for the app.

    Of those of one app that were not executed yet, the newest 20 are kept, and the others given up.
    """

    app_name: str
    image: Annotated[str, Meta(min_length=1, max_length=512)] | None = None
    image_digest: Digest = ""
    image_architectures: Architectures = []
    resolve_image: bool | None = None
    replicas: Annotated[int, Meta(ge=0, le=MAX_REPLICAS)] | None = None
    strategy: Strategy | None = None
    environment: dict[str, str] | None = None
    labels: dict[str, str] | None = None

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.strategy is not None:
            yield from ((f"strategy.{name}", expected) for name, expected in self.strategy.problems())
        if self.image is not None:
            yield from image_problems("image", self.image)
        yield from digest_problems(self)
        yield from env_problems("environment", self.environment or {})


class PromoteBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`variant`: the winner of an A/B test."""

    variant: str | None = None


class RevertBody(Struct, frozen=True, forbid_unknown_fields=True):
    """`to`: a number of the app's history; by default the one before the present."""

    to: Annotated[int, Meta(ge=1)] | None = None
    strategy: Strategy | None = None


class DeploymentAnswer(Struct, frozen=True, omit_defaults=True):
    """`warnings`: what did not go as asked."""

    id: str
    app_name: str
    message: str
    warnings: list[str] = []


class UpdateAnswer(Struct, frozen=True, omit_defaults=True):
    """`warnings`: what did not go as asked."""

    name: str
    deployment_id: str
    message: str
    warnings: list[str] = []


def _deployment(call: Call) -> Deployment:
    return call.named(call.state.deployments, "id", "deployment")


def _app(call: Call) -> App:
    return call.named(call.state.apps, "app_name", "app")


async def _record(call: Call, command: CreateDeployment) -> Recorded:
    outcome = await call.propose(command)
    if not isinstance(outcome, Recorded):
        raise InternalError(f"a deployment was answered with {type(outcome).__name__}")
    return outcome


async def list_deployments(call: Call) -> Answer:
    state, now_s = call.state, call.now_s
    newest_first = sorted(state.deployments.values(), key=lambda d: (-d.created_at_s, d.id))
    return await call.listed(newest_first, lambda deployment: deployment_item(state, deployment, now_s))


async def create(call: Call) -> Answer:
    body = await call.body(DeploymentBody)
    refuse_problems(body.problems())
    app = call.state.apps.get(body.app_name)
    before = None if app is None else app.spec
    default = None if before is None else before.update_strategy
    resolves = before is None or before.resolve_image if body.resolve_image is None else body.resolve_image
    own = [body.image] if body.image is not None and is_open(body) else []
    pins = await image_pins.ask(call, [*own, *open_images(body.strategy or default)] if resolves else [], before)
    change = Change(
        **image_fields(settled(body, pins.found)),
        replicas=body.replicas,
        environment=body.environment,
        labels=body.labels,
    )
    strategy = pins.strategy(body.strategy, default)
    recorded = await _record(call, CreateDeployment(app=body.app_name, change=change, strategy=strategy))
    answer = DeploymentAnswer(recorded.deployment_id, recorded.app, "Deployment created successfully", pins.warnings)
    return Answer(answer, status=201)


async def get_deployment(call: Call) -> Answer:
    return Answer(deployment_detail(call.state, _deployment(call), call.now_s))


async def get_status(call: Call) -> Answer:
    return Answer(deployment_progress(call.state, _deployment(call), call.now_s))


async def _act(call: Call, command: AnyCommand, message: str) -> Answer:
    await call.propose(command)
    return Answer(Message(id=call.path["id"], message=message))


async def execute(call: Call) -> Answer:
    return await _act(call, ExecuteDeployment(call.path["id"]), "Deployment execution started")


async def rollback(call: Call) -> Answer:
    return await _act(call, RollbackDeployment(call.path["id"]), "Deployment rollback started")


async def promote(call: Call) -> Answer:
    body = await call.body(PromoteBody) if await call.has_body() else PromoteBody()
    return await _act(call, PromoteDeployment(call.path["id"], body.variant), "Deployment promoted")


async def update_app(call: Call) -> Answer:
    """A whole new spec, rolled out by its `update_strategy`.

    Where it names no `image_digest`, its tag may mean another image than before; that is rolled out, too.
    """
    name = call.path["app_name"]
    spec = await call.body(AppSpec)
    if spec.name != name:
        raise InvalidRequest(f"name: expected {name!r}, as in the path, got {spec.name!r}")
    refuse_problems(spec.problems())
    app = call.state.apps.get(name)
    before = None if app is None else app.spec
    spec = image_pins.asked_anew(spec, before)
    pins = await image_pins.ask(call, image_pins.images_of(spec, spec.update_strategy), before)
    strategy = pins.strategy(None, spec.update_strategy)
    command = CreateDeployment(app=name, change=Change(spec=settled(spec, pins.found)), strategy=strategy, execute=True)
    recorded = await _record(call, command)
    return Answer(UpdateAnswer(name, recorded.deployment_id, "Application update started", pins.warnings))


async def history(call: Call) -> Answer:
    state, app = call.state, _app(call)
    return await call.listed(app.history[::-1], lambda entry: revision_item(state, app, entry))


async def revert(call: Call) -> Answer:
    app = _app(call)
    body = await call.body(RevertBody) if await call.has_body() else RevertBody()
    if body.strategy is not None:
        refuse_problems((f"strategy.{name}", expected) for name, expected in body.strategy.problems())
    if isinstance(body.strategy, ABTesting):
        raise InvalidRequest(f"strategy: expected another than ab-testing: {ONE_TEST}")
    number = body.to if body.to is not None else app.history[-1].number - 1
    entry = next((entry for entry in app.history if entry.number == number), None)
    if entry is None and body.to is None and len(app.history) < 2:
        raise NotFound(f"app {app.name!r} has no earlier revision")
    if entry is None:
        known = ", ".join(str(entry.number) for entry in app.history)
        raise NotFound(f"app {app.name!r} has no revision {number}; there are: {known}")
    spec = replace(call.state.specs[app.name, entry.revision], replicas=app.spec.replicas)
    strategy = body.strategy or app.spec.update_strategy or RollingUpdate()
    pins = await image_pins.ask(call, open_images(strategy) if app.spec.resolve_image else [])
    command = CreateDeployment(app=app.name, change=Change(spec=spec), strategy=pins.strategy(strategy), execute=True)
    recorded = await _record(call, command)
    message = f"Rollback to revision {number} started"
    return Answer(UpdateAnswer(app.name, recorded.deployment_id, message, pins.warnings))


_APP = Subject("apps", "app_name")
_DEPLOYMENT = Subject("deployments", "id")


def _action(name: str, handler: Any, body: Any = None) -> Route:
    return Route(
        method="POST",
        path=f"/deployments/{{id}}/{name}",
        access=Access.OPERATE,
        permission="deployments:update",
        handler=handler,
        body=body,
        answer=Message,
        subject=_DEPLOYMENT,
    )


ROUTES = (
    Route(
        method="GET",
        path="/deployments",
        access=Access.VIEW,
        permission="deployments:read",
        handler=list_deployments,
        listing=Listing("deployments", DeploymentItem),
    ),
    Route(
        method="POST",
        path="/deployments",
        access=Access.OPERATE,
        permission="deployments:create",
        handler=create,
        body=DeploymentBody,
        answer=DeploymentAnswer,
        status=201,
    ),
    Route(
        method="GET",
        path="/deployments/{id}",
        access=Access.VIEW,
        permission="deployments:read",
        handler=get_deployment,
        answer=DeploymentDetail,
        subject=_DEPLOYMENT,
    ),
    Route(
        method="GET",
        path="/deployments/{id}/status",
        access=Access.VIEW,
        permission="deployments:read",
        handler=get_status,
        owner=_DEPLOYMENT,
        answer=DeploymentProgress,
    ),
    _action("execute", execute),
    _action("rollback", rollback),
    _action("promote", promote, PromoteBody),
    Route(
        method="PUT",
        path="/apps/{app_name}",
        access=Access.OPERATE,
        permission="apps:update",
        handler=update_app,
        body=AppSpec,
        answer=UpdateAnswer,
        subject=_APP,
    ),
    Route(
        method="GET",
        path="/apps/{app_name}/history",
        access=Access.VIEW,
        permission="apps:read",
        handler=history,
        owner=_APP,
        listing=Listing("revisions", RevisionItem),
    ),
    Route(
        method="POST",
        path="/apps/{app_name}/rollback",
        access=Access.OPERATE,
        permission="apps:update",
        handler=revert,
        body=RevertBody,
        answer=UpdateAnswer,
        subject=_APP,
    ),
)

"""Priority classes: list, create, delete."""

from __future__ import annotations

from msgspec import Struct

from api.answer import Answer, Message
from api.call import Call
from api.route import Access, Listing, Route, Subject
from consensus.commands import CreatePriorityClass, DeletePriorityClass
from consensus.model.priority import BUILT_IN, PriorityClass
from consensus.state import State


class PriorityClassItem(Struct, frozen=True):
    """`built_in` ones are always there; an app that names none has the one of value 50."""

    name: str
    value: int
    description: str
    built_in: bool


def class_item(known: PriorityClass) -> PriorityClassItem:
    return PriorityClassItem(known.name, known.value, known.description, known.name in BUILT_IN)


def by_value(state: State) -> list[PriorityClass]:
    """The most important first."""
    return sorted(state.all_priority_classes().values(), key=lambda known: (-known.value, known.name))


async def list_classes(call: Call) -> Answer:
    return await call.listed(by_value(call.state), class_item)


async def create(call: Call) -> Answer:
    body = await call.body(PriorityClass)
    await call.propose(CreatePriorityClass(body))
    return Answer(Message(name=body.name, message="Priority class created successfully"), status=201)


async def delete(call: Call) -> Answer:
    name = call.path["name"]
    await call.propose(DeletePriorityClass(name))
    return Answer(Message(name=name, message="Priority class deleted successfully"))


ROUTES = (
    Route(
        method="GET",
        path="/priority-classes",
        access=Access.VIEW,
        permission="cluster:read",
        handler=list_classes,
        listing=Listing("priority_classes", PriorityClassItem),
    ),
    Route(
        method="POST",
        path="/priority-classes",
        access=Access.OPERATE,
        permission="cluster:update",
        handler=create,
        body=PriorityClass,
        answer=Message,
        status=201,
    ),
    Route(
        method="DELETE",
        path="/priority-classes/{name}",
        access=Access.OPERATE,
        permission="cluster:update",
        handler=delete,
        answer=Message,
        subject=Subject("priority_classes", "name"),
    ),
)

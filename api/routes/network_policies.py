"""Network policies: which containers may talk to whom."""

from __future__ import annotations

from msgspec.structs import replace

from api.answer import Answer, Message
from api.call import Call, refuse_problems
from api.errors import InvalidRequest
from api.route import Access, Listing, Route, Subject
from api.views.network_policy import NetworkPolicyItem, network_policy_item
from consensus.commands import CreateNetworkPolicy, DeleteNetworkPolicy, UpdateNetworkPolicy
from consensus.model.network_policy import NetworkPolicy

_PATH = "/security/network-policies"


class ReplaceBody(NetworkPolicy, frozen=True, kw_only=True):
    """All of the policy; what is left out is as in a new one. Its name is the path's."""

    name: str = ""


async def list_policies(call: Call) -> Answer:
    state = call.state
    known = state.network_policies
    return await call.listed(sorted(known), lambda name: network_policy_item(state, known[name]))


async def get_policy(call: Call) -> Answer:
    policy = call.named(call.state.network_policies, "policy_name", "network policy")
    return Answer(network_policy_item(call.state, policy))


async def create(call: Call) -> Answer:
    policy = await call.body(NetworkPolicy)
    refuse_problems(policy.problems())
    await call.propose(CreateNetworkPolicy(policy))
    return Answer(Message(name=policy.name, message="Network policy created successfully"), status=201)


async def update(call: Call) -> Answer:
    name = call.path["policy_name"]
    body = await call.body(ReplaceBody)
    if body.name not in ("", name):
        raise InvalidRequest(f"name: expected {name!r}, that of the path, or none; got {body.name!r}")
    refuse_problems(body.problems())
    fields = {each: getattr(body, each) for each in NetworkPolicy.__struct_fields__}
    await call.propose(UpdateNetworkPolicy(replace(NetworkPolicy(name=name), **{**fields, "name": name})))
    return Answer(Message(name=name, message="Network policy updated successfully"))


async def delete(call: Call) -> Answer:
    name = call.path["policy_name"]
    await call.propose(DeleteNetworkPolicy(name))
    return Answer(Message(name=name, message="Network policy deleted successfully"))


_POLICY = Subject("network_policies", "policy_name")
ROUTES = (
    Route(
        method="GET",
        path=_PATH,
        access=Access.VIEW,
        permission="network-policies:read",
        handler=list_policies,
        listing=Listing("policies", NetworkPolicyItem),
    ),
    Route(
        method="POST",
        path=_PATH,
        access=Access.OPERATE,
        permission="network-policies:create",
        handler=create,
        body=NetworkPolicy,
        answer=Message,
        status=201,
    ),
    Route(
        method="GET",
        path=_PATH + "/{policy_name}",
        access=Access.VIEW,
        permission="network-policies:read",
        handler=get_policy,
        answer=NetworkPolicyItem,
        subject=_POLICY,
    ),
    Route(
        method="PUT",
        path=_PATH + "/{policy_name}",
        access=Access.OPERATE,
        permission="network-policies:update",
        handler=update,
        body=ReplaceBody,
        answer=Message,
        subject=_POLICY,
    ),
    Route(
        method="DELETE",
        path=_PATH + "/{policy_name}",
        access=Access.OPERATE,
        permission="network-policies:delete",
        handler=delete,
        answer=Message,
        subject=_POLICY,
    ),
)

"""A state that begins a new life: as another cluster, with the nodes of the old one gone."""

from __future__ import annotations

from msgspec.structs import replace

from consensus.apply import node as nodes
from consensus.commands import RemoveNode
from consensus.draft import Draft
from consensus.entry import CommandId
from consensus.events import History
from consensus.fingerprint import Fingerprint, rows_of
from consensus.model.cluster import Cluster
from consensus.model.user import User
from consensus.snapshot import KEYED_TABLES, Image


def restored(image: Image, cluster: Cluster, *, admin: User | None, time_s: float) -> Image:
    """The state of `image` as that of `cluster`, one entry later.

    The nodes of old are removed, and what ran on them waits for new ones, under new task ids. Proposers and events of
    the old cluster are forgotten: event ids carry the epoch, which is another. `admin` takes the place of a user of
    that id; None keeps the users as they are.
    """
    index = image.index + 1
    draft = Draft(image.state, index=index, time_s=time_s, command_id=CommandId(f"restored-{cluster.epoch}", 1))
    for node_id in sorted(image.state.nodes):
        nodes.remove(draft, RemoveNode(node_id, force=True))
    for node_id in sorted(draft.state.removed_nodes):
        draft.forget_removed_node(node_id)
    draft.put_cluster(cluster)
    if admin is not None:
        known = draft.state.users.get(admin.id)
        draft.put_user(admin if known is None else replace(known, password_hash=admin.password_hash, role=admin.role))
    newest = image.history.events[-1].position if image.history.events else image.history.forgotten
    return Image(
        index=index,
        fingerprint=Fingerprint(rows_of(draft.state, KEYED_TABLES)),
        state=draft.state,
        sessions=[],
        parts=[],
        history=History((), newest),
    )

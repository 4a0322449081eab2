"""Founding, and the cluster's own secrets."""

from __future__ import annotations

import msgspec

from consensus.commands import FoundCluster, RaiseFeatureLevel, RotateJoinSecret, RotateTokenKey
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome, Done, conflict


def found(draft: Draft, command: FoundCluster) -> AnyOutcome:
    if draft.state.cluster is not None:
        return conflict(f"this is cluster {draft.state.cluster.id} already")
    draft.put_cluster(command.cluster)
    draft.put_user(command.admin)
    return Done()


def rotate_join_secret(draft: Draft, command: RotateJoinSecret) -> AnyOutcome:
    if draft.state.cluster is None:
        return conflict("the cluster is not founded yet")
    draft.put_cluster(
        msgspec.structs.replace(
            draft.state.cluster,
            join_secret_hash=command.join_secret_hash,
            join_secret_sealed=command.join_secret_sealed,
        )
    )
    return Done()


def rotate_token_key(draft: Draft, command: RotateTokenKey) -> AnyOutcome:
    cluster = draft.state.cluster
    if cluster is None:
        return conflict("the cluster is not founded yet")
    if command.in_place_of not in (None, cluster.token_key_sealed):
        return conflict("the token key was rotated already")
    draft.put_cluster(
        msgspec.structs.replace(
            cluster,
            token_key_sealed=command.token_key_sealed,
            token_key_since_s=draft.time_s,
            previous_token_key_sealed=cluster.token_key_sealed,
            previous_token_key_until_s=command.previous_until_s,
        )
    )
    return Done()


def raise_feature_level(draft: Draft, command: RaiseFeatureLevel) -> AnyOutcome:
    cluster = draft.state.cluster
    if cluster is None:
        return conflict("the cluster is not founded yet")
    for node in sorted(draft.state.nodes.values(), key=lambda node: node.id):
        if node.facts.feature_level < command.level:
            return conflict(f"node {node.id!r} knows feature level {node.facts.feature_level} only: upgrade it")
    if command.level > cluster.feature_level:
        draft.put_cluster(msgspec.structs.replace(cluster, feature_level=command.level))
    return Done()

"""What keeps namespaces apart: nothing refers to what is in another, and nothing moves from one to another."""

from __future__ import annotations

from consensus.draft import Draft
from consensus.model.app_spec import AppSpec
from consensus.model.workload import WorkloadSpec
from consensus.outcomes import Refusal, conflict


def moved(name: str, before: WorkloadSpec, after: WorkloadSpec) -> Refusal | None:
    """Where `after` would be in another namespace."""
    if before.namespace == after.namespace:
        return None
    return conflict(f"namespace: {name!r} is in {before.namespace!r}; to move it, delete it and make it anew")


def foreign(draft: Draft, spec: WorkloadSpec) -> Refusal | None:
    """Where `spec` mounts a volume, or is reached by a service, of another namespace."""
    state = draft.state
    for mount in spec.volumes:
        volume = state.volumes.get(mount.name)
        if volume is not None and volume.namespace != spec.namespace:
            return conflict(f"volumes: {mount.name!r} is not in namespace {spec.namespace!r}")
    if isinstance(spec, AppSpec):
        service = state.services.get(spec.service or spec.name)
        if service is not None and service.namespace != spec.namespace:
            return conflict(f"service: {service.name!r} is not in namespace {spec.namespace!r}")
    return None

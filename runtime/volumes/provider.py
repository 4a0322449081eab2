"""Makes the engine's volumes before a container mounts them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial

import structlog

from consensus.model.volume import Volume
from runtime import labels
from runtime.engine.base import Engine, VolumeState
from runtime.engine.errors import InvalidSpec
from runtime.volumes.mounts import driver_options, is_of_engine
from runtime.volumes.uses import VolumeUses

log = structlog.get_logger()

_NO_QUOTA = "quota"
"""Stands in what engines say where the file system has none ("quota size requested but no quota support")."""


class VolumeProvider:
    """`find` gives the cluster's volume of a name, `mounts` the names of the volumes that a task mounts.

    Attributes:
        uses: who has them on this node.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        cluster_id: str,
        node_id: str,
        find: Callable[[str], Volume | None],
        mounts: Callable[[str], Collection[str]],
    ) -> None:
        self._engine = engine
        self._own = labels.own_labels(cluster_id, node_id)
        self.uses = VolumeUses(engine, self._own, mounts)
        self._names = partial(labels.volume_name, cluster_id, node_id)
        self._without_quota: set[str] = set()
        self.find = find

    async def provide(self, name: str) -> None:
        """Returns when a container may mount it. EngineError; InvalidSpec where its size must hold and cannot."""
        volume = self.find(name)
        if is_of_engine(volume):
            await self.engine_volume(name)

    async def engine_volume(self, name: str) -> VolumeState:
        """The engine's volume for `name`, made if it is not there. EngineError."""
        volume = self.find(name)
        options = dict(driver_options(volume))
        if name in self._without_quota:
            options.pop("size", None)
        try:
            return await self._create(name, options)
        except InvalidSpec as error:
            if volume is None or "size" not in options or _NO_QUOTA not in str(error):
                raise
            if volume.without_quota == "refuse":
                raise InvalidSpec(f"volume {name}: its size cannot be enforced on this node ({error})") from error
            log.warning("volume_without_quota", volume=name, size_bytes=volume.size_bytes, reason=str(error))
        self._without_quota.add(name)
        del options["size"]
        return await self._create(name, options)

    async def _create(self, name: str, options: dict[str, str]) -> VolumeState:
        own = {**self._own, labels.VOLUME: name}
        return await self._engine.create_volume(self._names(name), labels=own, options=options)

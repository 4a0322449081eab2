"""Engine volumes of named volumes that the cluster no longer has."""

from __future__ import annotations

import structlog

from consensus.state import State
from runtime import labels
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError, VolumeInUse, VolumeNotFound

log = structlog.get_logger()


class VolumeCleaner:
    """Removes this node's volumes whose name is gone from the state. Volumes are made on first use."""

    def __init__(self, engine: Engine, *, cluster_id: str, node_id: str) -> None:
        self._engine = engine
        self._own = labels.own_labels(cluster_id, node_id)

    async def clean(self, state: State) -> int:
        """Only with a state that is caught up; how many are still in use and stay until the next time. EngineError."""
        left = 0
        for volume in await self._engine.list_volumes(self._own):
            name = volume.labels.get(labels.VOLUME)
            if name is None or name in state.volumes:
                continue
            try:
                await self._engine.remove_volume(volume.name)
                log.info("volume_removed", volume=name)
            except VolumeInUse:
                left += 1
            except VolumeNotFound:
                continue
            except EngineError as error:
                if error.temporary:
                    raise
                log.warning("volume_not_removed", volume=name, reason=str(error))
        return left

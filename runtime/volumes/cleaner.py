"""Engine volumes of named volumes that the cluster no longer has, or has on another node."""

from __future__ import annotations

import structlog

from consensus.state import State
from runtime import labels
from runtime.engine.base import Engine
from runtime.engine.errors import EngineError, VolumeInUse, VolumeNotFound

log = structlog.get_logger()


class VolumeCleaner:
    """Removes this node's volumes that the state has not here. Volumes are made on first use.

    Attributes:
        spared: names whose data is being brought here, of which the state does not know yet.
    """

    def __init__(self, engine: Engine, *, cluster_id: str, node_id: str) -> None:
        self._engine = engine
        self._own = labels.own_labels(cluster_id, node_id)
        self._node_id = node_id
        self.spared: set[str] = set()

    async def clean(self, state: State) -> int:
        """Only with a state that is caught up; how many are still in use and stay until the next time. EngineError."""
        left = 0
        for volume in await self._engine.list_volumes(self._own):
            name = volume.labels.get(labels.VOLUME)
            if name is None or name in self.spared or self._is_here(state, name):
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

    def _is_here(self, state: State, name: str) -> bool:
        volume = state.volumes.get(name)
        return volume is not None and (volume.type != "local" or volume.node_id in (None, self._node_id))

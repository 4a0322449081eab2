"""What a node is made of, as its daemon says at each start."""

from __future__ import annotations

import psutil

from consensus import features
from consensus.model.network import OverlayMode
from consensus.model.node import NodeFacts
from hivemind.config import DaemonConfig
from runtime.engine.base import EngineInfo
from runtime.engine.emulation import emulated_architectures
from runtime.network.overlay import keys
from runtime.network.overlay.choice import Choice


def gather(config: DaemonConfig, engine: EngineInfo, overlay: Choice, version: str) -> NodeFacts:
    """Capacities are the engine's where it knows them: it may run elsewhere, or be limited."""
    return NodeFacts(
        address=config.advertise,
        api_port=config.api_port,
        peer_port=config.peer_port,
        version=version,
        engine=engine.name,
        engine_version=engine.version,
        architecture=engine.architecture,
        # Of an engine on another machine nobody tells.
        emulates=[] if (config.docker_host or "").startswith("tcp:") else emulated_architectures(),
        cpu_cores=float(engine.cpu_cores or psutil.cpu_count() or 1),
        memory_bytes=engine.memory_bytes or psutil.virtual_memory().total,
        disk_bytes=psutil.disk_usage(str(config.data_dir)).total,
        labels=dict(config.labels),
        feature_level=features.LEVEL,
        overlay=overlay.mode,
        overlay_reason=overlay.reason,
        overlay_key="" if overlay.mode is OverlayMode.OFF else keys.load_or_make(config.data_dir).public,
    )

"""Makes this node's part of the overlay what the replica says, and keeps it so.

Rules first, then the engine's network (it makes the bridge), then links, entries and routes. Anybody may take any of
it away: the kernel tells of that, and it is put back. What cannot be had is told to the cluster as the reason why
this node is degraded, and tried again. A daemon that ends leaves all in place: containers go on talking.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

import structlog
import trio
from msgspec import Struct
from msgspec.structs import replace

from consensus.machine import Machine
from consensus.model.network import IPV6, Capability, OverlayMode, OverlayReport, OverlayStatus
from runtime.backoff import Backoff
from runtime.engine.docker_networks import DockerEngineNetworks, NetworkSpec, NetworkState
from runtime.engine.errors import ContainerNotFound, EngineError
from runtime.network.overlay import engine_rules, firewall, links
from runtime.network.overlay.attachment import Attachment
from runtime.network.overlay.engine_rules import EngineRules
from runtime.network.overlay.errors import OverlayError
from runtime.network.overlay.found import Found
from runtime.network.overlay.kernel import Kernel
from runtime.network.overlay.plan import BRIDGE, NETWORK, OverlayPlan, Peer, plan, without_ipv6
from runtime.network.overlay.rule_memory import RuleMemory

log = structlog.get_logger()

_NO_IPV6_YET = "its containers have no IPv6 until those made without it are gone from this node: drain it"
_PASSES = 6
"""A new VXLAN device needs three: made, configured, filled."""


class OverlayConfig(Struct, frozen=True, kw_only=True):
    """Attributes:
    look_s: how often is looked without news: what the kernel does not tell of, and what was tried in vain.
    gather_s: losses come in floods; they are gathered for so long.
    first_wait_s: how long a container's creation waits for the first look.
    """

    look_s: float = 10.0
    gather_s: float = 0.2
    first_wait_s: float = 10.0
    retry_first_s: float = 0.5
    retry_last_s: float = 5.0


class Names(Protocol):
    """Which resolvers containers ask, and what is wrong with this node's; runtime/network/dns/service.py."""

    def resolvers(self, plan: OverlayPlan) -> tuple[str, ...]: ...
    def problems(self) -> Sequence[str]: ...


class Reach(Protocol):
    """Which nodes do not answer through the overlay, and which can do without its tunnel;
    runtime/network/overlay/prober.py."""

    def problems(self) -> Sequence[str]: ...
    def reached(self) -> frozenset[str]: ...
    def adopt(self, node_ids: Iterable[str]) -> None: ...


class Overlay:
    """
    Args:
        labels: what the engine's network is labelled with; one with other labels is somebody else's.

    Attributes:
        report: how this node's part is just now; None before the first look.
        plan: what it is made from; None while the node has no subnet.
        mtu: of the way to other nodes; None before it was laid for the first time.
        near: nodes that may do without the tunnel, where it was tried to.
    """

    def __init__(
        self,
        *,
        node_id: str,
        machine: Machine,
        networks: DockerEngineNetworks,
        kernel: Kernel,
        labels: Mapping[str, str],
        names: Names,
        reach: Reach,
        rule_memory: RuleMemory,
        config: OverlayConfig | None = None,
    ) -> None:
        self._node_id = node_id
        self._machine = machine
        self._networks = networks
        self._kernel = kernel
        self._labels = dict(labels)
        self._names = names
        self._reach = reach
        self._rule_memory = rule_memory
        self._config = config or OverlayConfig()
        self._looked = trio.Event()
        self._woken = trio.Event()
        self._reported = trio.Event()
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._has_network = False
        self._engine_rules: dict[bool, EngineRules] = {}
        self._capabilities: tuple[Capability, ...] = ()
        self.plan: OverlayPlan | None = None
        self.mtu: int | None = None
        self.near: tuple[Peer, ...] = ()
        self._adopted = False
        self.report: OverlayReport | None = None

    # -- what others ask

    async def attach(self) -> Attachment | None:
        """Where new containers go; None: the overlay cannot have them, they get the engine's default network."""
        with trio.move_on_after(self._config.first_wait_s):
            await self._looked.wait()
        if self.plan is None or not self._has_network:
            return None
        return Attachment(NETWORK, self._names.resolvers(self.plan))

    async def reported(self) -> None:
        """Returns when `report` was written again."""
        await self._reported.wait()

    # -- running

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Until cancelled; leaves everything in place."""
        try:
            with self._scope:
                kept = await self._rule_memory.load()
                self._engine_rules = {ipv6: EngineRules(kept.get(ipv6)) for ipv6 in (False, True)}
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._kernel.follow, self.look_again)
                    nursery.start_soon(self._follow_replica)
                    task_status.started()
                    await self._keep()
        finally:
            self._ended.set()

    async def _keep(self) -> None:
        backoff = Backoff(first_s=self._config.retry_first_s, last_s=self._config.retry_last_s)
        while True:
            self._woken = trio.Event()
            report = await self._reconcile()
            self._tell(report)
            if report is not None and report.status is OverlayStatus.DEGRADED:
                # What failed makes news of its own: they must not start the next try.
                await trio.sleep(backoff.next_s())
                continue
            backoff.reset()
            with trio.move_on_after(self._config.look_s):
                await self._woken.wait()
            await trio.sleep(self._config.gather_s)

    def look_again(self) -> None:
        self._woken.set()

    async def _follow_replica(self) -> None:
        index = self._machine.watch.index
        known: tuple[object, ...] = (None, None, None)
        while True:
            state = self._machine.state
            basis = state.nodes, state.cluster, state.settings
            if any(a is not b for a, b in zip(basis, known, strict=True)):
                known = basis
                if plan(state, self._node_id) != self.plan:
                    self.look_again()
            index = await self._machine.watch.changed(index)

    def _tell(self, report: OverlayReport | None) -> None:
        if report is None:
            return
        if report != self.report:
            told = log.info if report.status is OverlayStatus.CONNECTED else log.warning
            told("overlay", status=report.status.value, reason=report.reason or None)
        self.report = report
        self._looked.set()
        reported, self._reported = self._reported, trio.Event()
        reported.set()

    async def _reconcile(self) -> OverlayReport | None:
        """One look, and what it shows to be due. None: the node's subnet is not known yet."""
        wanted = self.plan = plan(self._machine.state, self._node_id)
        if wanted is None:
            node = self._machine.state.nodes.get(self._node_id)
            if node is None or node.facts.overlay is OverlayMode.OFF:
                # The cluster has not heard yet that this run of the daemon takes part.
                return None
            return self._reported_as("this node has no subnet: the overlay's ranges are exhausted")
        lacks: list[str] = []
        try:
            await self._look_at_machine(wanted)
            there = await self._networks.find(NETWORK)
            found = await self._kernel.look()
            if wanted.ranges6 and (reason := self._why_no_ipv6(wanted)) is not None:
                lacks.append(reason)
                wanted = without_ipv6(wanted)
            near = await self._near(wanted, found)
            wanted = replace(wanted, direct=self._reach.reached() if near else None)
            # Before the network, which the engine cannot make without its rules.
            lacks += await self._ensure_rules(wanted, found)
            spec = self._spec(wanted, found)
            if not self._may_stay(there, spec):
                await self._make_network(there, spec)
                there, found = None, await self._kernel.look()
            if there is not None and there.spec.subnet6 != spec.subnet6:
                lacks.append(_NO_IPV6_YET)
            await self._kernel.forward_packets(ipv6=bool(wanted.subnet6))
            found = await self._settle(wanted, found)
            self.near = near
        except (OverlayError, EngineError) as error:
            return self._reported_as(str(error))
        far = [
            f"{peer.node_id} is not on this node's network, use --overlay vxlan" for peer in links.far(wanted, found)
        ]
        return self._reported_as(*wanted.misfits, *lacks, *far, *self._names.problems(), *self._reach.problems())

    def _reported_as(self, *reasons: str) -> OverlayReport:
        status = OverlayStatus.DEGRADED if reasons else OverlayStatus.CONNECTED
        return OverlayReport(status, "; ".join(reasons), self._capabilities)

    def _why_no_ipv6(self, wanted: OverlayPlan) -> str | None:
        capability = next((each for each in self._capabilities if each.name == IPV6), None)
        if capability is not None and not capability.available:
            return f"its containers have no IPv6: {capability.detail}"
        if not wanted.subnet6:
            return "its containers have no IPv6: the overlay's IPv6 ranges are exhausted"
        if wanted.tunnel is None:
            return "its containers have no IPv6: host-gw has no routes for it, use --overlay vxlan or encryption"
        return None

    async def _near(self, wanted: OverlayPlan, found: Found) -> tuple[Peer, ...]:
        """Nodes that may do without the tunnel. While only one of two does, the other's packets come another way than
        they are answered: where that is not allowed, nobody shall."""
        if wanted.direct is None or await self._kernel.is_strict(links.underlay_of(found.links, wanted.address).name):
            return ()
        if not self._adopted:
            self._adopted = True
            self._reach.adopt(links.directly(wanted, found))
        return links.near(wanted, found)

    async def _look_at_machine(self, wanted: OverlayPlan) -> None:
        """Once, and again for what is needed and was not there."""
        needed = {wanted.encryption.value} | ({IPV6} if wanted.ranges6 else set())
        if not self._capabilities or any(not each.available and each.name in needed for each in self._capabilities):
            found = await self._kernel.capabilities()
            if found != self._capabilities:
                log.info("overlay_capabilities", **{each.name: each.detail for each in found})
            self._capabilities = found

    async def _settle(self, wanted: OverlayPlan, found: Found) -> Found:
        lacked_bridge = False
        for _ in range(_PASSES):
            due = links.changes(wanted, found)
            if not due:
                if lacked_bridge:
                    await self._adopt_ports()
                self.mtu = links.mtu_of(wanted, found.links)
                return found
            lacked_bridge = lacked_bridge or BRIDGE not in found.links
            log.info("overlay_changes", changes=[type(change).__name__ for change in due])
            await self._kernel.change(due)
            found = await self._kernel.look()
        raise OverlayError(f"the kernel does not keep what it was told: {due}")

    async def _adopt_ports(self) -> None:
        """Somebody took the bridge away: the containers' cables hang loose."""
        state = await self._networks.find(NETWORK)
        pids = []
        for engine_id in () if state is None else state.containers:
            try:
                pid = await self._networks.pid(engine_id)
            except ContainerNotFound:
                continue
            if pid is not None:
                pids.append(pid)
        adopted = await self._kernel.adopt_ports(pids)
        log.warning("overlay_bridge_put_back", bridge=BRIDGE, containers=adopted)

    async def _ensure_rules(self, wanted: OverlayPlan, found: Found) -> list[str]:
        """Ours, and the engine's own where they vanished. Answers with what is lacking."""
        underlay = links.underlay_of(found.links, wanted.address).name
        lacks = []
        before = {ipv6: rules.known for ipv6, rules in self._engine_rules.items()}
        for ipv6 in (False, True) if wanted.subnet6 else (False,):
            try:
                saved = await self._with_engine_rules(await self._kernel.saved_rules(ipv6=ipv6), ipv6)
                text = firewall.restore_input(saved, firewall.of_ipv6(wanted) if ipv6 else wanted, underlay)
                if text is not None:
                    log.info("overlay_rules", chain=firewall.CHAIN, ipv6=ipv6)
                    await self._kernel.restore_rules(text, ipv6=ipv6)
            except OverlayError as error:
                lacks.append(str(error))
            if self._engine_rules[ipv6].lost:
                lacks.append(engine_rules.LOST)
        if (known := {ipv6: rules.known for ipv6, rules in self._engine_rules.items()}) != before:
            await self._rule_memory.save(known)
        return lacks

    async def _with_engine_rules(self, saved: str, ipv6: bool) -> str:
        """What the kernel has once the engine's own rules are put back where they vanished, as far as they can be."""
        known = self._engine_rules[ipv6]
        text = known.restore_input(saved, trio.current_time())
        if text is None:
            return saved
        try:
            await self._kernel.restore_rules(text, ipv6=ipv6)
        except OverlayError as error:
            log.warning("engine_rules_not_put_back", ipv6=ipv6, reason=str(error))
            return saved
        log.warning("engine_rules_put_back", ipv6=ipv6)
        saved = await self._kernel.saved_rules(ipv6=ipv6)
        known.restore_input(saved, trio.current_time())
        return saved

    # -- the engine's network

    def _spec(self, wanted: OverlayPlan, found: Found) -> NetworkSpec:
        return NetworkSpec(
            name=NETWORK,
            bridge=BRIDGE,
            subnet=wanted.subnet,
            gateway=wanted.gateway,
            mtu=links.mtu_of(wanted, found.links),
            subnet6=wanted.subnet6,
            gateway6=wanted.gateway6,
            labels=self._labels,
        )

    def _may_stay(self, there: NetworkState | None, spec: NetworkSpec) -> bool:
        self._has_network = there is not None and (there.spec == spec or _is_kept(there, spec))
        return self._has_network

    async def _make_network(self, there: NetworkState | None, spec: NetworkSpec) -> None:
        """In the place of the one that is `there`."""
        if there is not None:
            if there.containers:
                whose = "of another subnet" if there.spec.labels == self._labels else "of somebody else"
                raise OverlayError(f"the engine has a network {NETWORK!r} {whose}, with containers on it")
            await self._networks.remove(NETWORK)
        await self._networks.create(spec)
        self._has_network = True
        log.info("overlay_network_created", network=NETWORK, subnet=spec.subnet, subnet6=spec.subnet6, mtu=spec.mtu)

    async def remove(self) -> None:
        """Stops `run` and takes all of ours away; no container may be left. Raises OverlayError, EngineError."""
        self._scope.cancel()
        await self._ended.wait()
        ipv6 = any(each.name == IPV6 and each.available for each in self._capabilities)
        for family in (False, True) if ipv6 else (False,):
            text = firewall.removal_input(await self._kernel.saved_rules(ipv6=family))
            if text is not None:
                await self._kernel.restore_rules(text, ipv6=family)
        there = await self._networks.find(NETWORK)
        if there is not None and there.spec.labels == self._labels:
            await self._networks.remove(NETWORK)
        await self._kernel.change(links.removal(await self._kernel.look()))
        log.info("overlay_removed")


def _is_kept(there: NetworkState, spec: NetworkSpec) -> bool:
    """Whether a network stays that would be made otherwise today.

    Another MTU is no reason: the bridge tells containers of packets too big for the way (RFC 1191). Another subnet of
    IPv6 is one when nobody is on it.
    """
    known = replace(there.spec, mtu=spec.mtu)
    return spec == (replace(known, subnet6=spec.subnet6, gateway6=spec.gateway6) if there.containers else known)

"""From a State to this node's ruleset, made anew only where something changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set

from consensus.model.network import IPV6 as CAPABILITY6
from consensus.model.network import Network, OverlayMode
from consensus.state import State
from runtime.network.nft import balance
from runtime.network.nft.balance import ADDRESSES, OWN_PAIRS, PORTS, Here
from runtime.network.nft.filter import Addresses, Around, policy_rules
from runtime.network.nft.ruleset import IPV4, IPV6, Chain, Key, NamedSet, Ruleset
from runtime.network.overlay.plan import gateway, gateway6, tunnel_end
from runtime.network.route_table import RouteTable
from runtime.network.routes import Front, PublishedPort, Route, ServiceAddress


def here_of(state: State, node_id: str) -> Here | None:
    """None where the node has no part in the overlay."""
    node = state.nodes.get(node_id)
    if node is None or node.subnet is None or node.facts.overlay is OverlayMode.OFF:
        return None
    subnets = [node.subnet for node in state.nodes.values() if node.subnet is not None]
    return Here(
        node_id=node_id,
        subnet=node.subnet,
        gateway=gateway(node.subnet),
        ranges=(Network() if state.cluster is None else state.cluster.network).ranges,
        nodes=frozenset(end(subnet) for subnet in subnets for end in (gateway, tunnel_end)),
    )


def around6(state: State, node_id: str) -> Around | None:
    """None where the node has no IPv6."""
    own = state.nodes[node_id]
    capability = None if own.overlay is None else own.overlay.capability(CAPABILITY6)
    if own.subnet6 is None or capability is None or not capability.available:
        return None
    nodes = frozenset(gateway6(node.subnet6) for node in state.nodes.values() if node.subnet6 is not None)
    return Around(IPV6, own.subnet6, nodes)


_NO_IPV6 = Ruleset(family=IPV6)
_FILTER_READS = ("tasks", "network_policies", "nodes")
_MAPS = {ADDRESSES: ("ipv4_addr", "inet_proto", "inet_service"), PORTS: ("inet_proto", "inet_service")}


class Compiler:
    """`ruleset` is the newest, and `ruleset6` that of IPv6, empty where the node has none. Feed `update` the States
    that are to be seen."""

    def __init__(self, node_id: str) -> None:
        self._node_id = node_id
        self._table = RouteTable()
        self._here: Here | None = None
        self._chains: dict[str, Chain] = {}
        self._keys: dict[str, dict[Key, str]] = {ADDRESSES: {}, PORTS: {}}
        self._maps: dict[str, NamedSet] = {}
        self._base: dict[str, Chain] = {}
        self._filter = Ruleset()
        self._own_of_app: dict[str, frozenset[str]] = {}
        self._own_pairs = balance.own_pairs(())
        self._state = State()
        self._proxied: Mapping[Front, int] = {}
        self._taken: frozenset[PublishedPort] = frozenset()
        self.ruleset: Ruleset | None = None
        self.ruleset6 = _NO_IPV6

    def update(
        self,
        state: State,
        touched_apps: Iterable[str],
        proxied: Mapping[Front, int],
        taken: Set[PublishedPort] = frozenset(),
    ) -> Ruleset | None:
        """None: this node has no part in the overlay.

        `touched_apps`: those that were written since the last time. `proxied`: the ports of this node's gateway at
        which the user-space proxy serves virtual addresses. `taken`: published ports that another program has here.
        """
        before, self._state = self._state, state
        touched = set(touched_apps)
        changed = self._table.update(state, touched)
        here = here_of(state, self._node_id)
        if here is None:
            self._here = self.ruleset = None
            self.ruleset6 = _NO_IPV6
            return None
        anew = here != self._here
        if anew:
            self._here, self._base = here, balance.base_chains(here)
            changed = set(self._table.routes)
            touched = {task.app for task in state.tasks_on_node(here.node_id)} | self._own_of_app.keys()
        known, self._proxied = self._proxied, dict(proxied)
        changed |= self._taken ^ taken
        self._taken = frozenset(taken)
        changed |= {front for front in known.keys() | proxied.keys() if known.get(front) != proxied.get(front)}
        for front in changed:
            self._compile(front, here)
        self._pair_own(state, here, touched)
        anew = anew or any(getattr(state, table) is not getattr(before, table) for table in _FILTER_READS)
        if anew:
            self._filter_anew(state, here)
        self.ruleset = self._whole()
        return self.ruleset

    def _compile(self, front: Front, here: Here) -> None:
        route = self._table.routes.get(front)
        name, keys = balance.chain_name(front), self._keys[_map_of(front)]
        chain = None if route is None else self._chain(front, route, here)
        if chain is None:
            self._chains.pop(name, None)
            keys.pop(balance.front_key(front), None)
        else:
            self._chains[name] = chain
            keys[balance.front_key(front)] = name

    def _chain(self, front: Front, route: Route, here: Here) -> Chain | None:
        if front in self._taken:
            return None
        if balance.is_kernels(route, here):
            return balance.front_chain(front, route, here)
        # A published port is open here anyway; a virtual address is nowhere.
        port = self._proxied.get(front)
        return None if port is None else balance.proxy_chain(front, here, port)

    def _pair_own(self, state: State, here: Here, apps: Iterable[str]) -> None:
        """Keeps the addresses of this node's containers, an app at a time."""
        news = False
        for app in apps:
            own = {t.status.ip_address for t in state.tasks_of_app(app) if t.node_id == here.node_id}
            addresses = frozenset(address for address in own if address is not None)
            if addresses != self._own_of_app.get(app, frozenset()):
                self._own_of_app[app] = addresses
                news = True
            if not addresses:
                self._own_of_app.pop(app, None)
        if news:
            self._own_pairs = balance.own_pairs(sorted(frozenset().union(*self._own_of_app.values())))

    def _filter_anew(self, state: State, here: Here) -> None:
        policies = [state.network_policies[name] for name in sorted(state.network_policies)]
        known = state if policies else State()
        self._filter = policy_rules(policies, Addresses(known), Around(IPV4, here.subnet, here.nodes))
        around = around6(state, here.node_id)
        self.ruleset6 = _NO_IPV6 if around is None else policy_rules(policies, Addresses(known, IPV6), around)

    def _whole(self) -> Ruleset:
        """What did not change is the same object, so that it need not be compared again."""
        for name, type_ in _MAPS.items():
            there = self._maps.get(name)
            if there is None or there.elements != self._keys[name]:
                self._maps[name] = NamedSet(type=type_, elements=dict(self._keys[name]), verdicts=True)
        return Ruleset(
            sets={**self._maps, OWN_PAIRS: self._own_pairs, **self._filter.sets},
            chains={**self._base, **self._chains, **self._filter.chains},
            counters=self._filter.counters,
        )


def _map_of(front: Front) -> str:
    return ADDRESSES if isinstance(front, ServiceAddress) else PORTS

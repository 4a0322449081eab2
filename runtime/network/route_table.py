"""All routes, kept in step with the State: only the services that an entry can have changed are looked at. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from consensus.state import State
from runtime.network.routes import Front, Route, service_routes

_READ = ("tasks", "apps", "services", "nodes", "deployments", "network_policies", "cluster")


def is_news(before: State, state: State) -> bool:
    """Whether routes or rules can differ; reports of load and users come more often than what they depend on."""
    return any(getattr(before, table) is not getattr(state, table) for table in _READ)


class RouteTable:
    """`routes` by front. Feed `update` every State that is to be seen, with the apps that were touched since."""

    def __init__(self) -> None:
        self.routes: dict[Front, Route] = {}
        self._state = State()
        self._of_service: dict[str, dict[Front, Route]] = {}

    def update(self, state: State, touched_apps: Iterable[str]) -> set[Front]:
        """The fronts that came, went or changed."""
        before, self._state = self._state, state
        # A node's status decides about all of its tasks.
        everything = _holders(before) != _holders(state)
        names = set(state.services) | set(self._of_service) if everything else self._touched(before, touched_apps)
        changed: set[Front] = set()
        for name in names:
            changed |= self._set(name)
        return changed

    def _touched(self, before: State, touched_apps: Iterable[str]) -> set[str]:
        state = self._state
        names: set[str] = set()
        if state.services is not before.services:
            names |= {name for name, service in state.services.items() if before.services.get(name) is not service}
            names |= {name for name in before.services if name not in state.services}
        apps = set(touched_apps)
        if state.deployments is not before.deployments:
            # Its step says how requests are split.
            apps |= {d.app for key, d in state.deployments.items() if before.deployments.get(key) is not d}
        for app in apps:
            names |= {old.service_name for s in (before, state) if (old := s.apps.get(app)) is not None}
        return names

    def _set(self, name: str) -> set[Front]:
        service = self._state.services.get(name)
        old = self._of_service.pop(name, {})
        new = {} if service is None else service_routes(self._state, service)
        if new:
            self._of_service[name] = new
        changed = {front for front in old.keys() | new.keys() if old.get(front) != new.get(front)}
        for front in changed:
            if front in new:
                self.routes[front] = new[front]
            elif front in self.routes and self.routes[front].service == name:
                # Else another service has it by now.
                del self.routes[front]
        return changed


def _holders(state: State) -> set[str]:
    return {node.id for node in state.nodes.values() if node.holds_tasks}

"""A daemon that makes something else of one command: `python -m tests.support.odd_daemon daemon …`.

It stands for everything by which a replica may come to differ: a bug that reads a clock, a mixed version, bad memory.
"""

from __future__ import annotations

from typing import Any

from consensus import apply
from consensus.commands import DeployApp
from consensus.draft import Draft
from consensus.outcomes import AnyOutcome
from hivemind.cli.main import main

ODD_APP = "odd"
_deploy = apply._APPLY[DeployApp]


def _deploy_otherwise(draft: Draft, command: Any) -> AnyOutcome:
    outcome = _deploy(draft, command)
    app = draft.state.apps.get(ODD_APP)
    if command.spec.name == ODD_APP and app is not None:
        draft.put_app(type(app)(**{name: getattr(app, name) for name in app.__struct_fields__} | {"generation": 7}))
    return outcome


if __name__ == "__main__":
    apply._APPLY[DeployApp] = _deploy_otherwise
    main()

"""A daemon of the next version, which knows one feature level more: `python -m tests.support.newer_daemon daemon …`.

At that level there is `RotateTokenKey`, which in this version is as old as the rest.
"""

from __future__ import annotations

from consensus import features
from consensus.commands import RotateTokenKey
from hivemind.cli.main import main

if __name__ == "__main__":
    features.LEVEL += 1
    features.COMMANDS_SINCE = {RotateTokenKey: features.LEVEL}
    main()

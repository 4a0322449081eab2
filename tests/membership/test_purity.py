"""The core imports no trio, socket, time or random, directly or through others of its modules."""

from __future__ import annotations

import ast
from pathlib import Path

import membership

ROOT = Path(membership.__file__).parent
IMPURE = {"trio", "socket", "time", "random", "anyio", "asyncio", "os"}


def imports(module: str) -> set[str]:
    tree = ast.parse((ROOT / f"{module}.py").read_text())
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def reached(module: str) -> set[str]:
    modules, todo = set(), [module]
    while todo:
        for name in imports(todo.pop()):
            if name.startswith("membership.") and name not in modules:
                todo.append(name.removeprefix("membership."))
            modules.add(name)
    return modules


def test_the_core_is_pure() -> None:
    names = reached("swim")
    assert "membership.probe" in names
    assert not {name.split(".")[0] for name in names} & IMPURE


def test_nothing_above_is_imported() -> None:
    for path in ROOT.glob("*.py"):
        tops = {name.split(".")[0] for name in imports(path.stem)}
        assert not tops & {"hivemind", "api", "runtime", "consensus"}, path


def test_modules_are_short() -> None:
    assert max(len(path.read_text().splitlines()) for path in ROOT.glob("*.py")) <= 400


def test_every_module_is_explained_to_the_newcomer() -> None:
    guide = membership.__doc__ or ""
    missing = {path.name for path in ROOT.glob("*.py")} - {"__init__.py"}
    assert not {name for name in missing if name not in guide} - {"randomness.py"}

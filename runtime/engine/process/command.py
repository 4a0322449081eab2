"""What a spec means for a process: argv, environment, user. Pure but for the user database."""

from __future__ import annotations

import grp
import pwd
import re
import sys
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from msgspec import Struct

from runtime.engine.base import ContainerSpec
from runtime.engine.errors import InvalidSpec

WHOAMI_IMAGE = "hivemind/whoami"
_WHOAMI_PROGRAM = str(Path(__file__).with_name("whoami.py"))
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class UserIds(Struct, frozen=True):
    """Numbers of a user and its group."""

    uid: int
    gid: int


def is_builtin(image: str) -> bool:
    """True for `hivemind/whoami`, with any tag and registry prefix `docker.io/`."""
    return image.removeprefix("docker.io/").partition(":")[0].partition("@")[0] == WHOAMI_IMAGE


def task_argv(spec: ContainerSpec) -> tuple[str, ...]:
    """The program to run. InvalidSpec where the spec names none."""
    if spec.command is None and is_builtin(spec.image):
        return (sys.executable, "-S", "-I", _WHOAMI_PROGRAM, *(spec.args or ()))
    argv = (*(spec.command or ()), *(spec.args or ()))
    if not argv:
        raise InvalidSpec(
            f"{spec.name}: the process engine cannot run the image {spec.image!r} without a command: it has no "
            f"images, it runs programs of this machine. Give a command, use the built-in {WHOAMI_IMAGE}, or "
            "start the daemon with a Docker engine"
        )
    return argv


def task_env(
    spec: ContainerSpec, *, address: str, port_map: Mapping[int, int], root: Path, volumes: Mapping[str, Path]
) -> dict[str, str]:
    """The whole environment; nothing of the daemon's own leaks in. The spec's own words win.

    PORT is where the first port is to be listened on, HIVEMIND_PORT_<container_port> each of them,
    HIVEMIND_VOLUME_<NAME> where a volume lies.
    """
    env = {
        "PATH": _PATH,
        "HOME": str(root),
        "HOSTNAME": spec.hostname or spec.name,
        "HIVEMIND_TASK_NAME": spec.name,
        "HIVEMIND_ADDRESS": address,
    }
    if spec.ports:
        env["PORT"] = str(port_map[spec.ports[0].container_port])
    for container_port, port in port_map.items():
        env[f"HIVEMIND_PORT_{container_port}"] = str(port)
    for name, path in volumes.items():
        env["HIVEMIND_VOLUME_" + re.sub(r"[^A-Z0-9]", "_", name.upper())] = str(path)
    return env | dict(spec.env)


def inside(root: Path, target: str) -> Path:
    """Where an absolute path of a container lies under the task's root. InvalidSpec for `..` and the root."""
    parts = [part for part in PurePosixPath(target).parts if part != "/"]
    if not parts or ".." in parts:
        raise InvalidSpec(f"not a path inside a container: {target!r}")
    return root.joinpath(*parts)


def user_ids(user: str) -> UserIds:
    """From `name`, `uid`, `name:group` or `uid:gid`, as Docker takes them. InvalidSpec."""
    name, _, group = user.partition(":")
    try:
        entry = pwd.getpwuid(int(name)) if name.isdecimal() else pwd.getpwnam(name)
        uid, gid = entry.pw_uid, entry.pw_gid
    except (KeyError, OverflowError):
        if not name.isdecimal():
            raise InvalidSpec(f"no user {name!r} on this machine") from None
        uid = gid = int(name)
    if group:
        try:
            gid = int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
        except KeyError:
            raise InvalidSpec(f"no group {group!r} on this machine") from None
    return UserIds(uid, gid)

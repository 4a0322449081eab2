"""lab - several Docker hosts on one machine

  lab up N [--no-engine]       lab down       lab status
  lab exec hK COMMAND…         in all namespaces of the host
  lab netns-exec hK COMMAND…   in its network alone
  lab docker hK ARGS…          this machine's docker command against the host's engine
  lab kill-engine hK | start-engine hK     kill -9 dockerd; its containers live on
  lab kill-host hK | start-host hK         power off (disks stay) | on, with its engine
  lab cut hK | heal hK                     unplug | plug the network
  lab partition h1,h2 h3,h4 | unpartition
  lab loss hK PERCENT                      both directions; 0 ends it, as in each of these:
  lab delay hK MS [JITTER_MS [LOSS_PERCENT]]   packets that arrive at hK
  lab rate hK MBIT                         what hK sends
  lab cpu hK PERCENT                       of one core, for the whole host
  lab pause hK [engine|host] | resume hK   stop dockerd | freeze everything

LAB_PREFIX, LAB_NET and LAB_ROOT give a second lab beside the first its names.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from tests.lab.commands import LabError
from tests.lab.host import Host
from tests.lab.lab import Lab
from tests.lab.place import place_from_environment
from tests.support.engine_api import NOT_UP

_ON_HOST: dict[str, Callable[..., None]] = {
    "kill-engine": Host.kill_engine,
    "start-engine": Host.start_engine,
    "kill-host": Host.kill_host,
    "cut": Host.cut,
    "heal": Host.heal,
    "loss": Host.loss,
    "delay": Host.delay,
    "rate": Host.rate,
    "pause": Host.pause,
    "resume": Host.resume,
    "cpu": Host.cpu,
}
_OF_NUMBERS = {"loss", "delay", "rate", "cpu"}


def main(arguments: list[str]) -> int:
    """Exit status 0, 1 for what did not work, 2 for a command that is none."""
    try:
        return _perform(arguments)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1


def _perform(arguments: list[str]) -> int:
    place = place_from_environment()
    match arguments:
        case ["up", count, *options]:
            Lab(int(count), engines="--no-engine" not in options, place=place).up()
        case ["down"]:
            Lab.existing(place).down()
        case ["status"]:
            for host in Lab.existing(place).hosts:
                print(_status(host))
        case ["partition", side, other]:
            Lab.existing(place).partition(_numbers(side), _numbers(other))
        case ["unpartition"]:
            Lab.existing(place).unpartition()
        case ["start-host", name]:
            host = _host(name)
            host.start_host()
            host.start_engine()
        case ["exec", name, *argv]:
            command = _host(name).argv(argv)
            os.execvp(command[0], command)
        case ["netns-exec", name, *argv]:
            netns = Lab.existing(place).switch.netns(_host(name).number)
            os.execvp("nsenter", ["nsenter", f"--net=/run/netns/{netns}", *argv])
        case ["docker", name, *argv]:
            os.execvp("docker", ["docker", "-H", _host(name).docker_host, *argv])
        case [verb, name, *values] if verb in _ON_HOST:
            numbers = [float(value) for value in values] if verb in _OF_NUMBERS else values
            _ON_HOST[verb](_host(name), *numbers)
        case _:
            print(__doc__)
            return 2
    return 0


def _host(name: str) -> Host:
    return Lab.existing(place_from_environment()).host(_number(name))


def _number(name: str) -> int:
    return int(name.removeprefix("h"))


def _numbers(names: str) -> list[int]:
    return [_number(name) for name in names.split(",")]


def _status(host: Host) -> str:
    try:
        engine = f"{len(host.engine.containers({}, stopped=False))} containers"
    except NOT_UP:
        engine = "engine does not answer"
    return f"{host.name} {host.address} init {host.init_pid()} {host.docker_host} {engine}"

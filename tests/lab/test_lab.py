"""The lab itself: two hosts are really apart, each fault does what it says, and nothing stays behind."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.commands import LabError, is_running, run
from tests.lab.lab import Lab
from tests.support.images import BUSYBOX_IMAGE
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab(2) as running:
        yield running


def answers(address: str, port: int, timeout_s: float = 0.3) -> bool:
    try:
        with socket.create_connection((address, port), timeout_s):
            return True
    except OSError:
        return False


@pytest.fixture
def served(lab: Lab) -> Iterator[int]:
    """Host 1 serves this port, for the time of a test."""
    server = lab.host(1).popen(["busybox", "httpd", "-f", "-p", "8000", "-h", "/tmp"])
    wait_until(lambda: answers(lab.host(1).address, 8000), 5)
    yield 8000
    server.kill()


def reaches(lab: Lab, port: int) -> bool:
    """Whether host 2 can connect to host 1."""
    try:
        lab.host(2).exec("busybox", "nc", "-w", "1", lab.host(1).address, str(port), "-e", "/bin/true")
    except LabError:
        return False
    return True


def test_each_host_has_an_engine_of_its_own(lab: Lab) -> None:
    for host in lab.hosts:
        host.docker("run", "-d", "--name", "only", BUSYBOX_IMAGE, "sleep", "300")
    for host in lab.hosts:
        assert host.docker("ps", "--format", "{{.Names}}") == "only"
        assert host.exec("hostname") == host.name
        host.docker("rm", "-f", "only")


def test_a_cut_host_is_out_of_reach_until_it_is_healed(lab: Lab, served: int) -> None:
    assert reaches(lab, served)
    lab.host(2).cut()
    assert not reaches(lab, served)
    lab.host(2).heal()
    wait_until(lambda: reaches(lab, served), 10)


def test_a_partition_and_a_loss_and_their_ends(lab: Lab, served: int) -> None:
    lab.partition([1], [2])
    assert not reaches(lab, served)
    lab.unpartition()
    wait_until(lambda: reaches(lab, served), 10)
    lab.host(1).loss(100)
    assert not reaches(lab, served)
    lab.host(1).loss(0)
    wait_until(lambda: reaches(lab, served), 10)


def test_a_delay_is_felt(lab: Lab, served: int) -> None:
    lab.host(1).delay(80)
    started_s = time.monotonic()
    assert answers(lab.host(1).address, served, timeout_s=5)
    assert time.monotonic() - started_s >= 0.08
    lab.host(1).delay(0)


def test_rate_and_cpu_are_taken_and_ended(lab: Lab) -> None:
    host = lab.host(2)
    host.rate(10)
    assert "tbf" in host.exec("tc", "qdisc", "show", "dev", "eth0")
    host.rate(0)
    assert "tbf" not in host.exec("tc", "qdisc", "show", "dev", "eth0")
    host.cpu(20)
    host.cpu(0)


def test_a_paused_host_goes_on(lab: Lab, served: int) -> None:
    lab.host(1).pause("host")
    # The kernel still takes the connection; the frozen server says nothing.
    with socket.create_connection((lab.host(1).address, served), timeout=0.5) as client:
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with pytest.raises(TimeoutError):
            client.recv(1)
        lab.host(1).resume()
        client.settimeout(5)
        assert client.recv(4) == b"HTTP"


def test_a_program_has_a_pid_to_signal_and_the_environment_it_was_given(lab: Lab, tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    program = lab.host(1).popen(["sh", "-c", "echo $WORD; exec sleep 60"], {"WORD": "hello"}, log=log)
    wait_until(lambda: log.read_text() == "hello\n", 5)
    program.signal(signal.SIGSTOP)
    program.signal(signal.SIGCONT)
    program.kill()
    assert program.poll() is not None
    assert not is_running(program.pid)


def test_containers_outlive_their_engine(lab: Lab) -> None:
    host = lab.host(1)
    container = host.docker("run", "-d", "--stop-timeout", "1", BUSYBOX_IMAGE, "sleep", "300")
    pid = int(host.docker("inspect", "-f", "{{.State.Pid}}", container))
    host.kill_engine()
    assert host.exec("cat", f"/proc/{pid}/comm") == "sleep"
    # Without --live-restore (in dockerd_args), an engine that starts again ends what it finds.
    host.start_engine()
    host.docker("rm", "-f", container)


def test_a_host_that_lost_its_power_keeps_its_disks(lab: Lab) -> None:
    host = lab.host(2)
    container = host.docker("run", "-d", BUSYBOX_IMAGE, "sleep", "300")
    daemon = host.popen(["sleep", "300"])
    host.kill_host()
    assert not is_running(daemon.pid)
    host.start_host()
    host.start_engine()
    assert host.docker("inspect", "-f", "{{.State.Running}}", container) == "false"
    host.docker("rm", container)


def test_two_labs_stand_beside_each_other_and_nothing_of_them_stays() -> None:
    with Lab(1, engines=False) as one, Lab(1, engines=False) as other:
        places = [one.place, other.place]
        inits = [one.host(1).init_pid(), other.host(1).init_pid()]
        assert None not in inits
        with pytest.raises(LabError, match="is up already"):
            Lab(1, place=one.place).up()
        assert one.host(1).exec("hostname") == "h1"
    assert not any(is_running(init) for init in inits if init is not None)
    for place in places:
        assert not place.root.exists()
        assert str(place.root) not in Path("/proc/self/mounts").read_text()
        assert not list(Path("/run/netns").glob(f"{place.prefix}*"))
        assert not list(Path("/sys/fs/cgroup").glob(f"*/{place.prefix}"))
        assert place.prefix not in run(["ip", "-o", "link"])


def test_a_failure_on_the_way_up_leaves_nothing() -> None:
    lab = Lab(1, dockerd_args=["--no-such-option"])
    lab.host(1).engine_timeout_s = 1.0
    with pytest.raises(LabError, match="engine of h1"):
        lab.up()
    assert not lab.place.root.exists()
    assert not list(Path("/run/netns").glob(f"{lab.place.prefix}*"))

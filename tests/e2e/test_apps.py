"""Apps on three real engines, asked for and looked at from any node (issue 2, bar 1)."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from runtime import labels
from tests.e2e.lab_cluster import NOT_YET, LabCluster
from tests.e2e.listening import Listener
from tests.support.images import busybox_archive
from tests.support.waiting import wait_until

pytestmark = pytest.mark.lab

SERVE_HOSTNAME = ["httpd", "-f", "-p", "80", "-h", "/etc"]


def hostname_of(cluster: LabCluster, number: int, port: int) -> str:
    """Which container answers at a published port of a node."""
    with httpx2.Client(timeout=5, trust_env=False, verify=False) as client:
        return client.get(f"http://{cluster.node(number).address}:{port}/hostname").text.strip()


def inspected(cluster: LabCluster, container: dict[str, Any]) -> dict[str, Any]:
    """`docker inspect` of a container, on the engine of its node."""
    return cluster.node(cluster.number_of(container["node_id"])).inspect(container["engine_id"])


def test_six_replicas_run_two_a_node_and_any_node_answers_for_all(cluster: LabCluster, tmp_path: Path) -> None:
    rest = tmp_path / "rest.yaml"
    rest.write_text("stop_grace_period: 200ms\n")
    deploy = [
        "app",
        "deploy",
        "--name",
        "web",
        "--replicas",
        "6",
        "--image",
        "busybox:local",
        "--port",
        "8080:80",
        "-f",
        str(rest),
    ]
    done = cluster.cli(2, *deploy, "--", *SERVE_HOSTNAME)
    assert done.returncode == 0, done.stdout + done.stderr

    assert cluster.spread(2, "web") == {1: 2, 2: 2, 3: 2}
    cluster.wait_alike("web")
    containers = cluster.containers(1, "web")
    for container in containers:
        found = inspected(cluster, container)
        assert found["State"]["Running"], container
        assert found["Config"]["Labels"][labels.TASK] == container["id"]
    names = {container["engine_id"][:12] for container in containers}
    for number in cluster.numbers:
        answered: set[str] = set()

        def every_replica_answered(number: int = number, answered: set[str] = answered) -> bool:
            answered.add(hostname_of(cluster, number, 8080))
            return answered == names

        wait_until(every_replica_answered, 20, f"an answer of all six through node {number}", poll_s=0)


def test_what_was_asked_for_is_set_on_the_engine(cluster: LabCluster) -> None:
    (container,) = cluster.deploy(
        3,
        "full",
        1,
        env={"GREETING": "hello"},
        labels={"team": "blue"},
        resources={"cpu": 0.1, "memory": "16M", "cpu_limit": 0.5, "memory_limit": "64M"},
        volumes=[{"name": "data", "mount_path": "/data"}],
        ports=[{"container_port": 80, "host_port": 8090, "protocol": "tcp"}],
        command=["sh", "-c", "echo $GREETING > /data/greeting; exec httpd -f -p 80 -h /data"],
    )
    found = inspected(cluster, container)
    assert "GREETING=hello" in found["Config"]["Env"]
    assert found["HostConfig"]["NanoCpus"] == 500_000_000
    assert found["HostConfig"]["Memory"] == 64 * 1024 * 1024
    own = {labels.APP: "full", labels.TASK: container["id"], labels.NODE: container["node_id"], "team": "blue"}
    assert own.items() <= found["Config"]["Labels"].items()
    (mount,) = found["Mounts"]
    assert (mount["Type"], mount["Destination"], mount["RW"]) == ("volume", "/data", True)

    assert [volume["name"] for volume in cluster.get(1, "/volumes")["volumes"]] == ["data"]
    elsewhere = next(n for n in cluster.numbers if n != cluster.number_of(container["node_id"]))
    with httpx2.Client(timeout=5, trust_env=False, verify=False) as client:
        url = f"http://{cluster.node(elsewhere).address}:8090/greeting"
        wait_until(lambda: client.get(url).text == "hello\n", 20, f"the greeting at {url}", errors=NOT_YET)
    detail = cluster.get(elsewhere, f"/containers/{container['id']}")
    assert detail["environment"] == {"GREETING": "hello"}
    assert detail["resources"]["memory_limit"] == "64M"


def test_logs_and_stats_of_a_container_come_from_any_node(cluster: LabCluster) -> None:
    talk = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.2; done"
    (container,) = cluster.deploy(1, "talker", 1, command=["sh", "-c", talk])
    for number in cluster.numbers:
        path = f"/containers/{container['id']}"
        logs = wait_until(lambda: cluster.get(number, f"{path}/logs", tail=3)["logs"], 10, "a log line")  # noqa: B023
        assert all(line.startswith("line ") for line in logs.splitlines())
        assert len(logs.splitlines()) <= 3
        stats = cluster.get(number, f"{path}/stats")
        assert stats["memory_usage"] > 0
        followed = []
        with (
            cluster.client(number) as client,
            client.stream("GET", f"/api{path}/logs", params={"follow": "true", "tail": 1}) as answer,
        ):
            for line in answer.iter_lines():
                followed.append(line)
                if len(followed) == 3:
                    break
        first = int(followed[0].split()[1])
        assert followed == [f"line {first + i}" for i in range(3)]


def test_scale_restart_and_delete(cluster: LabCluster) -> None:
    before = {container["engine_id"] for container in cluster.deploy(1, "app", 3)}
    cluster.post(2, "/scale", {"name": "app", "replicas": 5})
    cluster.wait_running(3, "app", 5)
    assert before < {container["engine_id"] for container in cluster.containers(3, "app")}
    assert sorted(cluster.spread(3, "app").values()) == [1, 2, 2]

    # Before the restart: the first of the new ones may run by the time that it is answered.
    old = {container["engine_id"] for container in cluster.containers(3, "app")}
    cluster.post(3, "/restart", {"name": "app"})

    def all_new() -> bool:
        found = cluster.containers(1, "app")
        return len(found) == 5 and all(each["status"] == "running" and each["engine_id"] not in old for each in found)

    wait_until(all_new, 60, "five new containers after the restart")
    cluster.post(1, "/scale", {"name": "app", "replicas": 2})
    cluster.wait_engines_agree(2, "app", 2)
    assert sorted(cluster.spread(2, "app").values()) == [1, 1]
    cluster.delete(2, "/apps/app")
    cluster.wait_no_containers("app")


def test_health_goes_up_and_down_and_is_told(cluster: LabCluster) -> None:
    with Listener(cluster, 3) as listener:
        check = {"command": "test ! -e /tmp/ill", "interval": "500ms", "timeout": "5s", "retries": 2}
        (container,) = cluster.deploy(1, "patient", 1, health_check=check, restart={"policy": "no"})
        host = cluster.node(cluster.number_of(container["node_id"])).host

        def turned(word: str) -> None:
            def is_it(data: dict[str, Any]) -> bool:
                return data.get("container_id") == container["id"] and data.get("new_status") == word

            listener.wait_for(
                f"{container['id']} {word}", lambda e: e.type == "container_health_changed" and is_it(e.data)
            )
            for number in cluster.numbers:
                path = f"/containers/{container['id']}"
                wait_until(lambda: cluster.get(number, path)["health"]["status"] == word, 10, word)  # noqa: B023

        turned("healthy")
        host.docker("exec", container["engine_id"], "touch", "/tmp/ill")
        turned("unhealthy")
        detail = cluster.get(2, f"/containers/{container['id']}")
        assert detail["status"] == "running"
        assert detail["restart_count"] == 0


def test_a_program_that_listens_on_a_published_port_keeps_it_and_is_told_of(cluster: LabCluster) -> None:
    """Requests to its host are its own; the replicas are on the others, and answer there."""
    folder = ["--bind", cluster.node(2).address, "--directory", "/etc/apt"]
    foreign = cluster.node(2).host.popen(["python3", "-m", "http.server", "8070", *folder])
    try:
        with httpx2.Client(base_url=f"http://{cluster.node(2).address}:8070", trust_env=False, verify=False) as client:
            wait_until(lambda: "Directory listing" in client.get("/").text, 20, "the other program", errors=NOT_YET)
        published = [{"container_port": 80, "host_port": 8070}]
        body = {"name": "shy", "image": "busybox:local", "command": SERVE_HOSTNAME, "ports": published}
        cluster.post(1, "/deploy", {**body, "replicas": 2, "stop_grace_period": "200ms"})
        names = {each["engine_id"][:12] for each in cluster.wait_running(1, "shy", 2, on=[1, 3])}
        for number in (1, 3):
            wait_until(
                lambda: hostname_of(cluster, number, 8070) in names,  # noqa: B023
                20,
                f"an answer of a replica through node {number}",
                errors=NOT_YET,
            )
        assert (
            "Directory listing"
            in httpx2.get(f"http://{cluster.node(2).address}:8070/", trust_env=False, verify=False).text
        )
        alone = {**body, "name": "stuck", "replicas": 1, "node_affinity": f"node.id={cluster.node(2).name}"}
        cluster.delete(1, "/apps/shy")
        cluster.post(3, "/deploy", alone)
        words = "where another program has host port 8070/tcp"
        wait_until(lambda: words in cluster.containers(1, "stuck")[0]["message"], 20, "it says why")
        wait_until(lambda: any(words in a["message"] for a in cluster.get(2, "/alerts")["alerts"]), 20, "the alert")
    finally:
        foreign.kill()


@pytest.mark.parametrize("wait", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["says-so", "runs-later"])
def test_an_image_that_is_nowhere_says_so_and_runs_once_it_is_there(cluster: LabCluster, wait: bool) -> None:
    """It is looked for again after pauses that grow; to wait for one takes 20 s."""
    image = "registry.invalid/nowhere:1"
    cluster.post(
        2,
        "/deploy",
        {"name": "later", "image": image, "replicas": 1, "command": ["sleep", "600"], "stop_grace_period": "200ms"},
    )

    def why() -> dict[str, Any] | None:
        containers = cluster.containers(3, "later")
        failed = [each for each in containers if each["status"] == "failed" and each["message"]]
        return failed[0] if failed else None

    failed = wait_until(why, 60, "a failed container with a reason")
    assert failed is not None
    # The engine's own words: it could not look the registry up.
    assert "registry.invalid" in failed["message"]
    assert "lookup" in failed["message"]
    detail = cluster.cli_json(1, "app", "info", "later")
    assert detail["status"] == "failed"
    assert [(each["status"], "registry.invalid" in each["message"]) for each in detail["containers"]] == [
        ("failed", True)
    ]

    if not wait:
        return
    cluster.node(cluster.number_of(failed["node_id"])).host.engine.load_image(busybox_archive(image))
    (running,) = cluster.wait_running(3, "later", 1, timeout_s=90)
    assert (running["id"], running["message"]) == (failed["id"], "")


def test_what_dies_is_started_again_with_growing_pauses(cluster: LabCluster) -> None:
    (container,) = cluster.deploy(1, "mortal", 1)
    host = cluster.node(cluster.number_of(container["node_id"])).host
    path = f"/containers/{container['id']}"
    pauses_s = []
    for count in range(1, 5):
        host.docker("kill", container["engine_id"])
        killed_s = time.monotonic()
        wait_until(lambda: back(cluster.get(2, path), count), 60, f"restart {count}")  # noqa: B023
        pauses_s.append(time.monotonic() - killed_s)
    again = cluster.get(3, path)
    assert (again["engine_id"], again["restart_count"]) == (container["engine_id"], 4)
    # 0.1, 0.2, 0.4, 0.8 s and the time of a start: only the last is long enough to be told from noise.
    assert pauses_s[3] >= 0.8


def back(detail: dict[str, Any], restart_count: int) -> bool:
    return (detail["status"], detail["restart_count"]) == ("running", restart_count)


def test_what_was_removed_by_hand_is_made_anew_and_what_is_not_ours_is_left_alone(cluster: LabCluster) -> None:
    (container,) = cluster.deploy(1, "removed", 1)
    node = cluster.node(cluster.number_of(container["node_id"]))
    foreign = node.host.docker("run", "-d", "--label", f"{labels.NODE}={node.name}", "busybox:local", "sleep", "600")
    same_app = node.host.docker("run", "-d", "--label", f"{labels.APP}=removed", "busybox:local", "sleep", "600")
    try:
        node.host.docker("rm", "-f", container["engine_id"])

        def made_anew() -> bool:
            detail = cluster.get(2, f"/containers/{container['id']}")
            return bool(detail["status"] == "running" and detail["engine_id"] != container["engine_id"])

        wait_until(made_anew, 60, "a new container in the place of the removed one")
        cluster.delete(1, "/apps/removed")
        wait_until(lambda: not cluster.containers(1, "removed"), 60, "the end of the app")
        assert node.inspect(foreign)["State"]["Running"]
        assert node.inspect(same_app)["State"]["Running"]
    finally:
        node.host.docker("rm", "-f", foreign, same_app)

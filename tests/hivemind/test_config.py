"""Settings: precedence, and clear words for wrong ones (issue 2, "The daemon")."""

import os
from pathlib import Path

import pytest

from hivemind.config import ConfigError, load, unknown_variables
from hivemind.settings import RateLimits


@pytest.fixture(autouse=True)
def _nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    (tmp_path / "hivemind.yaml").write_text("api_port: 1001\npeer_port: 1002\nlog_level: error\n")
    config = load({"api_port": "3001"}, {"HIVEMIND_API_PORT": "2001", "HIVEMIND_PEER_PORT": "2002"})
    assert (config.api_port, config.peer_port, config.log_level, config.runtime) == (3001, 2002, "error", "auto")


@pytest.mark.parametrize("place", [".hivemind/config.yaml", "hivemind.yaml"])
def test_config_files_are_looked_for(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("labels: {role: frontend, zone: z1}\nrate_limit: off\njoin: [10.0.0.1, 'h:7000']\n")
    config = load({}, {})
    assert config.labels == {"role": "frontend", "zone": "z1"}
    assert config.rate_limit is None
    assert config.join == (("10.0.0.1", 7946), ("h", 7000))


def test_labels_and_seeds_from_environment_and_flags() -> None:
    config = load({"join": ("a:1", "b")}, {"HIVEMIND_LABELS": "k=v,k2=v2", "HIVEMIND_JOIN_TOKEN": "hm1.x.y"})
    assert config.labels == {"k": "v", "k2": "v2"}
    assert config.join == (("a", 1), ("b", 7946))
    assert config.token == "hm1.x.y"


@pytest.mark.parametrize(
    ("flags", "env", "words"),
    [
        ({"api_port": "0"}, {}, ["--api-port", "1-65535", "'0'"]),
        ({}, {"HIVEMIND_RUNTIME": "podman"}, ["HIVEMIND_RUNTIME", "docker or process", "'podman'"]),
        ({"name": "Node_1"}, {}, ["--name", "'Node_1'"]),
        ({"label": ("novalue",)}, {}, ["--label", "key=value"]),
        ({"rate_limit": "fast"}, {}, ["--rate-limit", "off"]),
        ({"peer_port": "4483"}, {}, ["api_port", "peer_port", "4483"]),
        ({"token": "hm1.a.b"}, {}, ["token", "join"]),
        ({"join": ("x",), "admin_password": "p"}, {}, ["admin_password", "join"]),
        ({"token_file": "/nowhere", "join": ("x",)}, {}, ["token_file", "/nowhere"]),
    ],
)
def test_a_wrong_setting_is_named_with_what_was_expected(
    flags: dict[str, str], env: dict[str, str], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags, env)
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_an_unknown_setting_in_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "hivemind.yaml").write_text("api_prot: 1\n")
    with pytest.raises(ConfigError, match=r"unknown setting 'api_prot'.*api_port"):
        load({}, {})


def test_secrets_from_files(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("s3cret\n")
    assert load({"admin_password_file": str(tmp_path / "password")}, {}).admin_password == "s3cret"


def test_rate_limit_can_be_set() -> None:
    assert load({"rate_limit": "5/minute,50/hour"}, {}).rate_limit == RateLimits(5, 50)


def test_data_dir_default_depends_on_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert load({}, {}).data_dir == tmp_path / "state/hivemind"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load({}, {}).data_dir == Path("/var/lib/hivemind")


def test_a_misspelt_variable_is_noticed() -> None:
    env = {
        "HIVEMIND_API_PROT": "1",
        "HIVEMIND_API_PORT": "1",
        "HIVEMIND_TOKEN": "t",
        "HIVEMIND_PORT_80": "5",
        "HOME": "/",
    }
    assert unknown_variables(env) == ["HIVEMIND_API_PROT"]

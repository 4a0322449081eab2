"""Settings: presets that work, and refusals with their reasons."""

import pytest

from membership import PRESETS, ConfigError, SwimConfig


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name: str) -> None:
    PRESETS[name]().validate()


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"probe_timeout_s": 1.0}, "probe_timeout_s must be below"),
        ({"probe_interval_s": 0.0, "probe_timeout_s": -1.0}, "probe_interval_s must be above 0"),
        ({"packet_bytes": 100}, "packet_bytes must lie"),
        ({"suspicion_mult": 0.5}, "suspicion_mult below 1"),
        ({"awareness_max": 0}, "awareness_max"),
        ({"gossip_nodes": 0}, "gossip_nodes"),
        ({"gossip_burst": -1}, "gossip_burst"),
        ({"early_probe_share": 0.0}, "early_probe_share"),
        ({"suspicion_confirmations": -1}, "suspicion_confirmations"),
        ({"nack_fraction": 1.0}, "nack_fraction"),
        ({"reap_after_s": 1.0}, "reap_after_s must be above gossip_to_dead_s"),
    ],
)
def test_a_setting_that_cannot_work_is_refused_with_its_reason(settings: dict[str, float], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        SwimConfig(**settings).validate()


def test_all_reasons_are_given_at_once() -> None:
    with pytest.raises(ConfigError, match=r"gossip_nodes.*;.*retransmit_mult"):
        SwimConfig(gossip_nodes=0, retransmit_mult=0).validate()

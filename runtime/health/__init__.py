"""Probes of running containers: `tracker` is the pure judgement, `prober` runs the commands."""

"""Probes of running containers.

plan.py      pure: what a check of the spec, or of the service, means for one container
tracker.py   pure: what a row of results means
probes.py    one probe: a command, an HTTP request, a connection
prober.py    runs them, and keeps their results
"""

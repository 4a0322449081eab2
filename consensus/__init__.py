"""Hivemind."""

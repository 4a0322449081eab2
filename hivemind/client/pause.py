"""Waiting, in both kinds of programs. The one that waits blocks its thread, as its users want."""

from __future__ import annotations

from time import sleep as sync_sleep

from anyio import sleep as async_sleep

__all__ = ["async_sleep", "sync_sleep"]

"""The client that waits, made from `_async` by scripts/sync_client.py."""

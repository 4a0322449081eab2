"""The Python and the Go client, at a live cluster that lasts as long as this folder's tests."""

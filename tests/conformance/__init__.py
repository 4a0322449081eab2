"""Every operation of the reference, at a live cluster that lasts as long as this folder's tests."""

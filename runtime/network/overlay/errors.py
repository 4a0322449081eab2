"""What can keep a node out of the overlay."""

from __future__ import annotations


class OverlayError(Exception):
    """A part of the overlay cannot be had now; the text is for the user."""

"""What a daemon tells of itself: its log, its metrics, and how long it holds the event loop."""

"""The command line: a file per noun. Nothing here knows how the cluster works; it asks the API."""

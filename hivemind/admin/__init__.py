"""Tools for the files of a stopped node."""

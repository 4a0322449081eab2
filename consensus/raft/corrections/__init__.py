"""The corrections of design.md §10, a module each, named for what it mends.

Each is a class on top of `Library` that overrides the few private methods concerned; `core.Core` puts them together.
"""

"""Where each pending task goes: pure, deterministic, explained.

demand.py     what a task asks of its node
affinity.py   the terms of `node_affinity`
capacity.py   how much of a node is spoken for
snapshot.py   what placing looks at, taken from a State
filters.py    who is turned down, and how that is told
queue.py      the best node next, without a look at every node for every task
place.py      `place(snapshot, tasks) -> decisions`
"""

"""Where each pending task goes: pure, deterministic, explained.

demand.py        what a task asks of its node
capacity.py      how much of a node is spoken for
surroundings.py  what gossip tells of the nodes
company.py       where the wishes of `service_affinity` are met, and what is near
snapshot.py      what placing looks at, taken from a State
filters.py       who is turned down, and how that is told
score.py         how good the others are
queue.py         the best node next, without a look at every node for every task
place.py         `place(snapshot, tasks) -> decisions`
evenness.py      which running replica should be elsewhere
impossible.py    what no node could hold
preempt.py       who makes room for what is more important
"""

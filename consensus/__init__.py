"""What the cluster has agreed: a replicated log of commands, and the state that it makes.

commands/       what can be decided: the entries of the log, a file per noun
model/          the nouns: frozen values, a file each
apply/          what each command does: pure functions, a file per noun
digest.py       a row's version; fingerprint.py: the whole replica's
draft.py        the next State in the making, its indexes and events
state.py        immutable tables
features.py      what versions can apply
namespaces.py    in which namespace things are, and what a command would touch
machine.py      entries in; State, answers and events out; each command once
events.py       the last 10,000 events; follow.py: reading them live, with resume
watch.py        waiting for an index
snapshot.py     the machine as bytes; restoring.py: as another cluster's beginning
durable.py      files that a crash leaves old or new, for all that runs above, too
proposer.py     proposing at any node; the answer comes from the local replica
raft/           how the log is agreed: PySyncObj, embedded and corrected
"""

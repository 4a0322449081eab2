"""How a node comes to have an identity: it founds a cluster, or it is admitted to one.

founding.py    the first node: makes the cluster's CA, keys and admin
joining.py     the newcomer's side of joining
admitting.py   the member's side of it
first_steps.py what must still be done once Raft runs; kept on disk, so that a crash in between costs nothing
"""

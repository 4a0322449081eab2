"""Names for containers: a resolver on each node's bridge address that answers from the replica.

names      pure: which targets a name stands for, and whether it is ours to deny
records    pure: a query's answer from those, as wire bytes
ttl        pure: where a message keeps its times to live
cache      answers as they went out
upstream   the machine's own resolvers, for all names that are not ours
server     UDP and TCP, from the caches where it can
service    keeps it on the bridge address; which resolvers containers ask

Names: a service (`web.local`), an app (`web`), a task (`web.1.d05bb500bb`, `1.web`, `web-1.web`); `.local` may follow
each. `vip.` before a service is its virtual address. Only endpoints that may get requests are named, and none on a
node that membership holds dead.
"""

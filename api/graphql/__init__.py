"""GraphQL over everything that can be read (graphql-core, spec of October 2021).

types.py      GraphQL types from the views' Structs
world.py      what a query stands on: one State, one identity
schema.py     the nouns, and how they lead to one another (nouns.py: where their rows are)
wholes.py     what there is one of, and events; asking.py: what all resolvers use
limits.py     how deep and how costly a query may be, before anything is done
execution.py  a query's answer: resolvers are plain functions over one State, in a worker thread where it is long
socket.py     graphql-transport-ws: queries and subscriptions over a WebSocket

What only other nodes know (a container's metrics) is fetched between two runs of the query: the first finds out what
is asked for, the second has it. So no resolver ever waits, and graphql-core needs no event loop.
"""

"""HTTP: the clients' side of a node. Parse, authenticate, authorise, answer.

deps.py             what the daemon hands in (Protocols and values); app.py: `create_app(deps)`; serve.py: listening
route.py            the route table: method, path, permission, handler; routes/: a file per noun
call.py             what a handler is given; answer.py: what it returns, and the envelope around it
errors.py           exception → status and code, the only place
body.py, times.py   request bodies and points in time, parsed with a clear complaint
listing.py          pagination, filters, sort, fields: the same for every list
auth/               JWT, Basic, API keys, passwords, roles; ratelimit.py: requests an IP and a user may make
events/             WebSocket and Server-Sent Events over the same feed
hypercorn_fixes/    what hypercorn 0.18 and quart-trio 0.12 do wrong under us, a module for each
"""

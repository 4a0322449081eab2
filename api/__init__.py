"""HTTP: the clients' side of a node. Parse, authenticate, authorise, answer.

deps.py             what the daemon hands in (Protocols and values); app.py: `create_app(deps)`; serve.py: listening
route.py            the route table: method, path, permission, handler; routes/: a file per noun; sockets.py: WebSockets
http_connection.py  a request comes in (request.py), a reply goes out (answer.py)
dispatch.py         from a request to its answer; call.py: what a handler is given; answer.py: what it returns
versions.py, etags.py, longpoll.py, compression.py: conventions of every endpoint
errors.py           exception → status and code, the only place
body.py, times.py   request bodies and points in time, parsed with a clear complaint
listing.py          pagination, filters, sort, fields: the same for every list; memo.py: what was made of rows
image_pins.py       which images a deploy means, asked once
batch.py            several operations in one request, each on its own or all as one log entry
auth/               JWT, Basic, API keys, passwords, roles and their reach, lockout; journal.py: notes for the audit log
limits.py           requests an IP and a user may make (ratelimit.py: the windows)
events/             WebSocket and Server-Sent Events over the same feed, each event encoded once
graphql/            queries over everything that can be read; openapi/: the document and the page, from the table
static.py           files for everybody: the dashboard's pages
volume_gateway.py, upkeep.py: more of what the daemon hands in
exec_socket.py, log_stream.py, app_logs.py: commands and logs of containers on any node; byte_body.py: long answers
hypercorn_fixes/    what hypercorn 0.18 and quart-trio 0.12 do wrong under us, a module for each
"""

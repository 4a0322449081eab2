"""What hypercorn 0.18 and quart-trio 0.12 do wrong under a public API, put right until they do.

connection.py      idle and slow clients are let go, a stalled reader blocks nobody, shutdown is bounded
early_answers.py   an answer sent before the request's body was read hung the connection; unread bodies are drained
app_task.py        an app whose client has gone ends; nobody waits for one that takes nothing any more
empty_frames.py    an empty binary WebSocket message arrived as None
"""

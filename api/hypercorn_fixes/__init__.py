"""What hypercorn 0.18 and quart-trio 0.12 do wrong under a public API, put right until they do.

early_answers.py   an answer sent before the request's body was read hung the connection; unread bodies are drained
connection.py      idle and slow clients are let go, a stalled reader blocks nobody, shutdown is bounded
empty_frames.py    an empty binary WebSocket message arrived as None
upload_bodies.py   bodies of uploads were read into memory as fast as they came
stream_errors.py   what goes wrong when a streamed body is opened is answered as an error, not cut off as a 200
"""

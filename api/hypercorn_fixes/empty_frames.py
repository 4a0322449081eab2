"""An empty binary WebSocket message is an empty message.

quart-trio 0.12 reads ``event.get("bytes") or event["text"]``, which makes None of it.
"""

from __future__ import annotations

import trio
from hypercorn.typing import ASGIReceiveCallable
from quart.signals import websocket_received
from quart_trio.asgi import TrioASGIWebsocketConnection


class WebsocketConnection(TrioASGIWebsocketConnection):
    async def handle_messages(  # type: ignore[override]
        self, nursery: trio.Nursery, receive: ASGIReceiveCallable
    ) -> None:
        while True:
            event = await receive()
            if event["type"] == "websocket.receive":
                data = event.get("bytes")
                message = data if data is not None else event["text"]
                if message is None:
                    continue
                await websocket_received.send_async(message, _sync_wrapper=self.app.ensure_async)  # type: ignore[arg-type]
                await self.send_channel.send(message)
            elif event["type"] == "websocket.disconnect":
                break
        nursery.cancel_scope.cancel()

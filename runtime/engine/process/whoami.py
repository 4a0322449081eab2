"""The built-in image `hivemind/whoami`: an HTTP server for first steps. Standard library only.

Every path answers who it is, as text; `/health` answers `ok`. It listens on HIVEMIND_ADDRESS and PORT.
"""

from __future__ import annotations

import os
import signal
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Whoami(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/health":
            self.answer("ok\n")
            return
        lines = {
            "name": os.environ.get("HIVEMIND_TASK_NAME", ""),
            "hostname": os.environ.get("HOSTNAME") or socket.gethostname(),
            "address": self.connection.getsockname()[0],
            "port": self.connection.getsockname()[1],
            "path": self.path,
            "client": self.client_address[0],
        }
        self.answer("".join(f"{name}: {value}\n" for name, value in lines.items()))

    def do_HEAD(self) -> None:
        self.do_GET()

    def answer(self, text: str) -> None:
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self) -> None:
        # HTTPServer asks DNS for its own name here, which can hang on a machine without a resolver.
        socket.socket.setsockopt(self.socket, socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()


class Server6(Server):
    address_family = socket.AF_INET6


def main() -> None:
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    address = os.environ.get("HIVEMIND_ADDRESS", "127.0.0.1")
    server = (Server6 if ":" in address else Server)((address, int(os.environ.get("PORT", "0"))), Whoami)
    print(f"listening on {address} port {server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()

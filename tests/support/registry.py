"""A registry of images on loopback, by the OCI distribution specification; engines pull from it by plain HTTP.

    with Registry() as registry:
        digest = registry.push("web:1", VERSION="1")
        docker pull {registry.host}/web:1

Each image is busybox with an environment that tells them apart, behind an index over its architectures.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.support.images import busybox_config, busybox_layer

_DOCKER = "application/vnd.docker"
_INDEX = f"{_DOCKER}.distribution.manifest.list.v2+json"
_MANIFEST = f"{_DOCKER}.distribution.manifest.v2+json"
_CONFIG = f"{_DOCKER}.container.image.v1+json"
_LAYER = f"{_DOCKER}.image.rootfs.diff.tar.gzip"


def digest_of(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Registry:
    """Serves from the start of its context to the end. With `credentials`, a name and a password, only to those.

    `asked` are the requests for manifests: ``HEAD web:1``. While `silent` is set, those are not answered.
    """

    def __init__(self, *, credentials: tuple[str, str] | None = None) -> None:
        self.asked: list[str] = []
        self.silent = threading.Event()
        self._heard = threading.Event()
        self._credentials = credentials
        self._blobs: dict[str, tuple[str, bytes]] = {}
        self._tags: dict[str, str] = {}
        self._layer = busybox_layer()
        self._packed = self._put(_LAYER, gzip.compress(self._layer, 1, mtime=0))
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self.host = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nobody listens any more. Once is enough."""
        self._heard.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def push(self, name: str, *, architectures: Sequence[str] = ("amd64", "arm64"), **env: str) -> str:
        """Makes an image of that environment, and has `name` (``web:1``) mean it. Returns the digest of its index."""
        manifests = [
            {**self._manifest(architecture, env), "platform": {"architecture": architecture, "os": "linux"}}
            for architecture in architectures
        ]
        index = {"schemaVersion": 2, "mediaType": _INDEX, "manifests": manifests}
        self._tags[name] = self._put(_INDEX, json.dumps(index).encode())["digest"]
        return self._tags[name]

    def _manifest(self, architecture: str, env: dict[str, str]) -> dict[str, Any]:
        config = self._put(_CONFIG, busybox_config(self._layer, architecture=architecture, env=env))
        manifest = {"schemaVersion": 2, "mediaType": _MANIFEST, "config": config, "layers": [self._packed]}
        return self._put(_MANIFEST, json.dumps(manifest).encode())

    def _put(self, media_type: str, content: bytes) -> dict[str, Any]:
        digest = digest_of(content)
        self._blobs[digest] = (media_type, content)
        return {"mediaType": media_type, "size": len(content), "digest": digest}

    def admits(self, authorization: str | None) -> bool:
        if self._credentials is None:
            return True
        wanted = base64.b64encode(":".join(self._credentials).encode()).decode()
        return authorization == f"Basic {wanted}"

    def find(self, method: str, path: str) -> tuple[str, bytes] | None:
        """Media type and content of what ``/v2/NAME/manifests/REFERENCE`` or ``/v2/NAME/blobs/DIGEST`` means."""
        name, _, reference = path.removeprefix("/v2/").rpartition("/")
        name, _, kind = name.rpartition("/")
        if kind == "manifests":
            named = f"{name}@{reference}" if ":" in reference else f"{name}:{reference}"
            self.asked.append(f"{method} {named}")
            if self.silent.is_set():
                self._heard.wait()
            return self._blobs.get(self._tags.get(named, reference))
        return self._blobs.get(reference) if kind == "blobs" else None


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, registry: Registry) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.registry = registry


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def _answer(self) -> None:
        registry = self.server.registry
        if not registry.admits(self.headers.get("Authorization")):
            self._refuse(401, "UNAUTHORIZED", "authentication required")
            return
        if self.path == "/v2/":
            self._send(200, "application/json", b"{}")
            return
        found = registry.find(self.command, self.path)
        if found is None:
            self._refuse(404, "MANIFEST_UNKNOWN", "manifest unknown")
        else:
            self._send(200, *found)

    def _refuse(self, status: int, code: str, message: str) -> None:
        body = json.dumps({"errors": [{"code": code, "message": message, "detail": None}]})
        self._send(status, "application/json", body.encode())

    def _send(self, status: int, content_type: str, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Docker-Distribution-Api-Version", "registry/2.0")
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        if status == 200:
            self.send_header("Docker-Content-Digest", digest_of(content))
        if status == 401:
            self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        return

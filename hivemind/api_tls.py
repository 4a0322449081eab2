"""TLS for the API's port, from files that may be replaced while the daemon runs."""

from __future__ import annotations

import ssl
from pathlib import Path

import structlog
import trio

from consensus.machine import Machine
from hivemind import api_certificate
from hivemind.api_certificate import CertificateFiles
from hivemind.config import DaemonConfig
from hivemind.peer.ca import ClusterCA
from hivemind.startup.obtain import StartupError

log = structlog.get_logger()

LOOK_S = 2.0
"""How often the files are looked at: a few stat calls."""
OWN_LOOK_S = 3600.0


class TlsFiles:
    """The context of new connections; `run` makes it anew when a file has changed. Broken new files change nothing."""

    def __init__(self, files: CertificateFiles, client_ca: Path | None) -> None:
        self._files = files
        self._client_ca = client_ca
        self._context: ssl.SSLContext | None = None
        self._seen: tuple[tuple[int, int], ...] = ()

    def context(self) -> ssl.SSLContext:
        if self._context is None:
            raise RuntimeError("load the files first")
        return self._context

    def load(self) -> None:
        """Raises StartupError where the files cannot be used."""
        try:
            self._seen = self._state()
            self._context = self._make()
        except (OSError, ssl.SSLError) as error:
            paths = ", ".join(map(str, self._paths()))
            raise StartupError(f"TLS: expected a certificate, its key and PEM files ({paths}): {error}") from error

    async def run(self) -> None:
        while True:
            await trio.sleep(LOOK_S)
            await trio.to_thread.run_sync(self._look)

    def _look(self) -> None:
        try:
            now = self._state()
            if now == self._seen:
                return
            self._context = self._make()
        except (OSError, ssl.SSLError) as error:
            log.warning("tls_reload_failed", error=str(error))
            return
        self._seen = now
        log.info("tls_reloaded", certificate=str(self._files.certificate))

    def _paths(self) -> list[Path]:
        return [self._files.certificate, self._files.key, *([self._client_ca] if self._client_ca else [])]

    def _state(self) -> tuple[tuple[int, int], ...]:
        return tuple((stat.st_mtime_ns, stat.st_ino) for stat in (path.stat() for path in self._paths()))

    def _make(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        context.load_cert_chain(self._files.certificate, self._files.key)
        if self._client_ca is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self._client_ca)
        return context


class OwnCertificate:
    """``--tls auto``: the files, made by the cluster's CA and made again in time."""

    def __init__(self, config: DaemonConfig, node_id: str, machine: Machine, member_key: bytes) -> None:
        folder = config.data_dir / "api-tls"
        self.files = CertificateFiles(folder / "certificate.pem", folder / "key.pem")
        self._names = api_certificate.names_of(node_id, [config.advertise, config.bind])
        self._machine = machine
        self._member_key = member_key

    async def ready(self) -> None:
        """Returns when there is a certificate. Waits for this replica to know its cluster where there is none yet."""
        if await trio.to_thread.run_sync(self._good):
            return
        while self._machine.state.cluster is None:
            await self._machine.watch.changed(self._machine.watch.index)
        await trio.to_thread.run_sync(self._write)

    async def run(self) -> None:
        while True:
            await trio.sleep(OWN_LOOK_S)
            await self.ready()

    def _good(self) -> bool:
        return api_certificate.still_good(self.files, self._names, now=api_certificate.utc_now())

    def _write(self) -> None:
        cluster = self._machine.state.cluster
        if cluster is None:
            return
        ca = ClusterCA.unseal(cluster.ca_certificate_pem.decode(), cluster.ca_key_sealed, self._member_key)
        api_certificate.write(self.files, ca, self._names, now=api_certificate.utc_now())

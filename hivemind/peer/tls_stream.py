"""TLS over a trio socket, made for many small messages.

trio's SSLStream passes two locks and three checkpoints for each of them; under load every turn of the loop costs more
than the encryption. Here a message that the kernel has room for is sent without a turn (`send_now`), and one that
arrives costs one. The end of the connection counts as the end of the data, with or without TLS's own goodbye: our
frames say by themselves whether they are whole.
"""

from __future__ import annotations

import os
import ssl

import trio

_READ_BYTES = 64 * 1024


class TlsStream(trio.abc.AsyncResource):
    """One task may send while another receives.

    Whatever is encrypted goes out in that order, also when its sender is cancelled: the rest goes before what follows.
    """

    def __init__(
        self, transport_stream: trio.SocketStream, context: ssl.SSLContext, *, server_side: bool = False
    ) -> None:
        self.transport_stream = transport_stream
        self._socket = transport_stream.socket
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server_side)
        self._unsent = b""
        self._ended = False

    def certificate_der(self) -> bytes | None:
        """The other side's certificate."""
        return self._tls.getpeercert(binary_form=True)

    async def do_handshake(self) -> None:
        """Raises BrokenResourceError because of an SSLError, of which the other side has been told, or an OSError."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                self._take(await self._read())
            except ssl.SSLError as error:
                await self._flush()
                raise trio.BrokenResourceError from error
            else:
                break
        if self._tls.server_side:
            # Session tickets, which go with the first data: a client that refuses us may close without reading them,
            # and its words would be lost in the reset that follows.
            await trio.lowlevel.checkpoint()
        else:
            await self._flush()

    def send_now(self, data: bytes) -> bool:
        """Send without waiting. False: something is waiting to be sent already, and nothing was done with `data`.

        What the kernel does not take at once waits for the next `send_all`: see `has_unsent`.

        Raises:
            BrokenResourceError, ClosedResourceError
        """
        if self._unsent:
            return False
        self._encrypt(data)
        self._write()
        return True

    @property
    def has_unsent(self) -> bool:
        return bool(self._unsent)

    async def send_all(self, data: bytes) -> None:
        """Send, after what is waiting. Raises BrokenResourceError, ClosedResourceError."""
        self._encrypt(data)
        await self._flush()

    async def receive_some(self) -> bytes:
        """What is there; b"" at the end. Raises BrokenResourceError, ClosedResourceError."""
        while True:
            if data := self._decrypt():
                return data
            if self._ended:
                return b""
            self._take(await self._read())

    async def aclose(self) -> None:
        """Close the socket; both sides' frames say what was whole."""
        await self.transport_stream.aclose()

    def _take(self, data: bytes) -> None:
        """What the kernel gave; nothing is the end."""
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()
            self._ended = True

    def _encrypt(self, data: bytes) -> None:
        if not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise trio.BrokenResourceError from error
        self._unsent += self._outgoing.read()

    def _decrypt(self) -> bytes:
        """All records that are here, decrypted."""
        parts = []
        try:
            # Asking for more than there is costs an exception, which is as much as decrypting a small message.
            while self._incoming.pending or self._tls.pending() or self._ended:
                part = self._tls.read(_READ_BYTES)
                if not part:
                    self._ended = True
                    break
                parts.append(part)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            if not parts and not self._ended:
                raise trio.BrokenResourceError from error
        # An answer to a change of keys.
        self._unsent += self._outgoing.read()
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _read(self) -> bytes:
        """Bytes from the kernel; b"" at the end."""
        while True:
            try:
                await trio.lowlevel.wait_readable(self._socket)
                return os.read(self._socket.fileno(), _READ_BYTES)
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._broken(error) from error

    def _write(self) -> None:
        """Give the kernel what it takes now."""
        try:
            self._unsent = self._unsent[os.write(self._socket.fileno(), self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            raise self._broken(error) from error

    async def _flush(self) -> None:
        self._unsent += self._outgoing.read()
        if self._unsent:
            self._write()
        while self._unsent:
            await trio.lowlevel.wait_writable(self._socket)
            self._write()

    def _broken(self, error: OSError) -> Exception:
        if self._socket.fileno() < 0:
            return trio.ClosedResourceError("this stream was closed")
        return trio.BrokenResourceError(str(error))

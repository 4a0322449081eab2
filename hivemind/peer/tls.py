"""TLS on a trio socket: handshakes whose failures are said in words, on both sides."""

from __future__ import annotations

import socket
import ssl

import trio

from hivemind.peer.tls_stream import TlsStream

_ALERTS = {
    "TLSV1_ALERT_UNKNOWN_CA": "it does not know our certificate's CA: it is of another cluster",
    "SSLV3_ALERT_CERTIFICATE_EXPIRED": "our certificate has expired: join again with a token",
    "SSLV3_ALERT_BAD_CERTIFICATE": "it found our certificate bad",
    "SSLV3_ALERT_CERTIFICATE_UNKNOWN": "it did not accept our certificate",
    "TLSV1_ALERT_DECRYPT_ERROR": "it could not verify our certificate's signature: it is of another cluster",
    "TLSV13_ALERT_CERTIFICATE_REQUIRED": "it demands a certificate",
}
_VERIFY = {
    10: "its certificate has expired",
    9: "its certificate is not yet valid: check the clocks",
    18: "its certificate is self-signed, not of our cluster's CA",
    19: "its certificate is of another cluster's CA",
    20: "its certificate is of another cluster's CA",
    7: "its certificate's signature is wrong: it is of another cluster's CA",
}
_ALERT_LINGER_S = 1.0
_LINGER_BYTES = 64 * 1024


class TlsRefused(Exception):
    """One side did not accept the other's certificate; the text says which and why."""


class TlsFailed(Exception):
    """The other side does not speak TLS 1.3 as we do, or went away in the middle."""


async def handshake(stream: TlsStream) -> None:
    """Do the handshake; on failure the other side has been told before this raises.

    Raises:
        TlsRefused: the certificates are the reason.
        TlsFailed: anything else.
    """
    try:
        await stream.do_handshake()
    except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
        await _close_gently(stream.transport_stream)
        raise explain(error) from error


def explain(error: BaseException) -> TlsRefused | TlsFailed:
    """What a broken TLS stream means in words."""
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return TlsRefused(_VERIFY.get(cause.verify_code, f"its certificate: {cause.verify_message}"))
    if isinstance(cause, ssl.SSLError):
        if cause.reason in _ALERTS:
            return TlsRefused(_ALERTS[cause.reason])
        return TlsFailed(f"TLS failed: {(cause.reason or 'closed in the handshake').replace('_', ' ').lower()}")
    return TlsFailed(f"the connection was lost ({cause or error})" if str(cause or error) else "connection lost")


def tune(stream: trio.SocketStream) -> None:
    """Let the kernel notice a vanished machine on a quiet connection within about 25 s."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # Not TCP_USER_TIMEOUT: it would also cut a stream whose reader merely pauses.
    for name, value in (("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3)):
        option = getattr(socket, name, None)
        if option is not None:
            stream.setsockopt(socket.IPPROTO_TCP, option, value)


async def _close_gently(stream: trio.SocketStream) -> None:
    """Read a little before closing: closing with unread input would reset the connection, and an alert on its way
    could be lost.
    """
    with trio.move_on_after(_ALERT_LINGER_S):
        try:
            await linger(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            return


async def linger(stream: trio.SocketStream) -> None:
    """Half-close and discard a bounded amount of input, until the other side closes too."""
    await stream.send_eof()
    left = _LINGER_BYTES
    while left > 0:
        data = await stream.receive_some(min(left, 16_384))
        if not data:
            return
        left -= len(data)

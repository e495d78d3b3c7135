"""TLS of one connection, without I/O.

The TLS of event loops is not used: bytes that it holds are lost when writing fails, and in uvloop
also when the other end closes the connection while reading is paused.
"""

from __future__ import annotations

import ssl

# Most bytes of a record.
_RECORD = 16_384


class TlsSession:
    """TLS of one connection, from its handshake on.

    Args:
        context: The TLS context.
        host: The name that the certificate must have.

    Attributes:
        is_ready: Whether the handshake is complete.
        has_ended: Whether the other end has announced that it sends no more.

    Raises:
        ValueError: The name is not valid.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self.is_ready = False
        self.has_ended = False

    def decrypt(self, data: bytes | memoryview) -> bytes:
        """Take bytes of the connection, and return what they say; without any to begin.

        Afterwards `unsent` may have bytes to send.

        Raises:
            SSLError: The other end cannot be trusted, or breaks the protocol.
        """
        incoming, session, pieces = self._incoming, self._session, []
        incoming.write(data)
        try:
            if not self.is_ready:
                session.do_handshake()
                self.is_ready = True
            # The exception that ends the reading otherwise takes longer than all of it.
            while incoming.pending or session.pending():
                piece = session.read(_RECORD)
                if not piece:
                    self.has_ended = True
                    # Answer the alert: some servers wait for that.
                    session.unwrap()
                    break
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            if not (pieces or self.has_ended):
                raise
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def encrypt(self, data: bytes | memoryview) -> bytes:
        """Return the bytes to send for ``data``.

        Raises:
            SSLError: The connection is broken.
        """
        rest = memoryview(data)
        while rest:
            rest = rest[self._session.write(rest) :]
        return self._outgoing.read()

    def unsent(self) -> bytes:
        """Take the bytes that the protocol itself has to send."""
        return self._outgoing.read()

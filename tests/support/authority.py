"""Authority that vouches for servers of the loopback interface."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

import pytest
import trustme

# Making one takes longer than most tests.
_authority = functools.cache(trustme.CA)


def trusted_context(folder: Path, monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    """Return the TLS context of a server that all new clients trust."""
    authority_file = folder / "authority.pem"
    _authority().cert_pem.write_to_path(authority_file)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority_file))
    return _context()


@functools.cache
def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _authority().issue_cert("127.0.0.1", "localhost", "*.example.org").configure_cert(context)
    return context

"""Errors of starting and stopping a backend: each text is one line that says what to do.

Separate from the errors in the backend's answers, since these are never sent over HTTP.
"""

from __future__ import annotations


class LocalBackendError(Exception):
    """The local backend could not be started or stopped."""


class BadOptionError(LocalBackendError, ValueError):
    """An option has a value that cannot work on any machine."""


class AddressError(LocalBackendError):
    """The backend cannot listen on the address: it is taken, forbidden or unknown here."""


class DataDirError(LocalBackendError):
    """The data directory cannot be used."""


class DataDirLockedError(DataDirError):
    """Another backend uses the data directory."""


class StoreError(LocalBackendError):
    """The database on a server cannot be used, or another backend uses it."""


class StoreAwayError(StoreError):
    """The server of the database cannot be reached, or is starting: it may be there later."""


class ClusterError(LocalBackendError):
    """The Ray cluster cannot be used."""


class ArtifactsError(LocalBackendError):
    """The place of the contents of artifacts cannot be used, or belongs to another backend."""


class StartTimeoutError(LocalBackendError, TimeoutError):
    """The backend did not answer in time after its start."""


class StopTimeoutError(LocalBackendError, TimeoutError):
    """The backend did not end in time after the request to stop."""

"""Errors of starting and stopping a backend: each text is one line that says what to do.

Apart from the errors that the backend answers with: nothing here ever travels over HTTP.
"""

from __future__ import annotations


class LocalBackendError(Exception):
    """The local backend could not be started or stopped as asked."""


class BadOptionError(LocalBackendError, ValueError):
    """An option has a value that cannot work on any machine."""


class AddressError(LocalBackendError):
    """The address cannot be listened on: taken, forbidden or unknown on this machine."""


class DataDirError(LocalBackendError):
    """The data directory cannot be used."""


class DataDirLockedError(DataDirError):
    """Another backend is using the data directory."""


class StoreError(LocalBackendError):
    """The database on a server cannot be used, or another backend uses it."""


class ClusterError(LocalBackendError):
    """The Ray cluster cannot be used."""


class ArtifactsError(LocalBackendError):
    """The place of the contents of artifacts cannot be used, or is another backend's."""


class StartTimeoutError(LocalBackendError, TimeoutError):
    """The backend did not answer in time after its start."""


class StopTimeoutError(LocalBackendError, TimeoutError):
    """The backend did not come to rest in time after it was told to stop."""

"""Buckets of S3-compatible storage in options."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from synth_pools.backend.errors import BadOptionError

_BUCKET = re.compile("[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
# Characters that every service accepts unchanged in a key.
_PREFIX = re.compile("[A-Za-z0-9!_.*'()-]+")


@dataclass(frozen=True, slots=True)
class BucketPlace:
    """Bucket of S3-compatible storage, and the common prefix of its keys."""

    bucket: str
    # Without slashes around it; empty for the entire bucket.
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def bucket_place(option: str, url: str | None) -> BucketPlace | None:
    """Return the bucket in an option.

    Args:
        option: The name of the option, for the error.
        url: The bucket and a prefix, such as s3://bucket/prefix; None for no bucket.

    Raises:
        BadOptionError: The text is no such URL.
    """
    if url is None:
        return None
    # The message does not repeat the text, which may hold a secret.
    problem = BadOptionError(
        f"{option} takes s3://bucket/prefix, with letters, digits and -_.!*'() between slashes; "
        "credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    )
    try:
        parts = urlsplit(url)
    except ValueError:
        raise problem from None
    prefix = parts.path.strip("/")
    names = prefix.split("/") if prefix else []
    is_safe = all(_PREFIX.fullmatch(name) and name not in (".", "..") for name in names)
    if parts.scheme != "s3" or not _BUCKET.fullmatch(parts.netloc) or not is_safe:
        raise problem
    if url != f"s3://{parts.netloc}{parts.path}":
        raise problem
    return BucketPlace(parts.netloc, prefix)


def endpoint_url(option: str, url: str | None) -> str | None:
    """Return the address of a service of S3-compatible storage.

    Args:
        option: The name of the option or variable, for the error.
        url: The address, such as https://minio.example.com:9000; None for Amazon's.

    Raises:
        BadOptionError: The text is no such address.
    """
    if url is None:
        return None
    problem = BadOptionError(
        f"{option} takes the URL of a service of S3-compatible storage without user, query and "
        "bucket, such as https://minio.example.com:9000"
    )
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise problem from None
    host = parts.hostname or ""
    if parts.scheme not in ("http", "https") or not host or not url.isascii():
        raise problem
    if not url.isprintable() or " " in url or port == 0:
        raise problem
    if parts.username is not None or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise problem
    return f"{parts.scheme}://{parts.netloc}"

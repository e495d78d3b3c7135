"""A server of S3-compatible storage for these tests, and the checks of every backend's tests."""

from __future__ import annotations

from tests.support.backend_fixtures import failures, no_failures
from tests.support.s3_fixtures import bucket, s3_server

__all__ = ["bucket", "failures", "no_failures", "s3_server"]

"""Buckets and services of S3-compatible storage, as users write them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from synth_pools.backend.domain.content_places import BucketPlace, bucket_place, endpoint_url
from synth_pools.backend.errors import ArtifactsError, BadOptionError
from synth_pools.local import LocalBackend


@pytest.mark.parametrize(
    ("url", "bucket", "prefix"),
    [
        ("s3://bucket", "bucket", ""),
        ("s3://bucket/", "bucket", ""),
        ("s3://my.bucket-1/a/b_c/", "my.bucket-1", "a/b_c"),
        ("s3://bucket/it's(1)!*.x", "bucket", "it's(1)!*.x"),
    ],
)
def test_a_bucket_and_its_prefix(url: str, bucket: str, prefix: str) -> None:
    place = bucket_place("artifacts", url)
    assert place == BucketPlace(bucket, prefix)
    assert bucket_place("artifacts", str(place)) == place
    assert bucket_place("artifacts", None) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "bucket/prefix",
        "/a/folder",
        "https://bucket/prefix",
        "s3://",
        "s3:///prefix",
        "s3://b/prefix",
        "s3://Bucket/prefix",
        "s3://key:sec-ret@bucket/prefix",
        "s3://bucket:9000/prefix",
        "s3://bucket/a//b",
        "s3://bucket/../b",
        "s3://bucket/./b",
        "s3://bucket/a b",
        "s3://bucket/%2e",
        "s3://bucket/é",
        "s3://bucket/a?sec-ret",
        "s3://bucket/a#sec-ret",
        "s3://bucket/a\n",
        "s3://[bucket/a",
    ],
)
def test_what_is_no_bucket_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadOptionError, match=r"artifacts takes s3://bucket/prefix") as refused:
        bucket_place("artifacts", url)
    assert "sec-ret" not in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    "url", ["https://s3.example.com", "http://127.0.0.1:9000/", "https://[::1]:9000"]
)
def test_an_address_of_a_service(url: str) -> None:
    assert endpoint_url("artifacts_endpoint", url) == url.rstrip("/")
    assert endpoint_url("artifacts_endpoint", None) is None


@pytest.mark.parametrize(
    "url",
    [
        "",
        "s3.example.com",
        "ftp://s3.example.com",
        "https://",
        "https://key:sec-ret@s3.example.com",
        "https://s3.example.com/bucket",
        "https://s3.example.com?sec-ret",
        "https://s3.example.com:0",
        "https://s3.example.com:99999",
        "https://s3.example.com:port",
        "https://s3 .example.com",
        "https://s3.exämple.com",
    ],
)
def test_what_is_no_address_of_a_service_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadOptionError, match="artifacts_endpoint takes the URL") as refused:
        endpoint_url("artifacts_endpoint", url)
    assert "sec-ret" not in str(refused.value)


def test_options_that_go_together(tmp_path: Path) -> None:
    with pytest.raises(BadOptionError, match="artifacts_endpoint is for artifacts in s3://"):
        LocalBackend(artifacts_endpoint="https://s3.example.com")
    with pytest.raises(BadOptionError, match="give artifacts or artifacts_dir, not both"):
        LocalBackend(
            store="postgresql://user@host/database",
            artifacts="s3://bucket/prefix",
            artifacts_dir=tmp_path,
        )


def test_the_extra_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "synth_pools.backend.storage.contents.bucket", raising=False)
    monkeypatch.setitem(sys.modules, "obstore", None)
    backend = LocalBackend(tmp_path, artifacts="s3://bucket/prefix")
    with pytest.raises(ArtifactsError, match=r"pip install 'synth-pools\[local,s3\]'"):
        backend.start()
    # Nothing is noted of a place that was never used.
    assert not (tmp_path / "artifacts.place").exists()

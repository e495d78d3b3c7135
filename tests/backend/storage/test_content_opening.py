"""Choice of the place of contents, before anything is asked of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from synth_pools.backend.domain.content_places import BucketPlace
from synth_pools.backend.errors import ArtifactsError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.backend.storage.contents.opening import _open_bucket, contents_identity

PLACE = BucketPlace("bucket", "some/prefix")
RIGHT = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "AKIA123",
    "AWS_SECRET_ACCESS_KEY": "abc/+=_-",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
}


def identity(folder: Path, place: BucketPlace | None) -> str | None:
    return contents_identity(Settings(data_dir=folder, api_key=Secret("key"), artifacts=place))


def test_a_bucket_is_told_from_all_others_and_a_folder_from_none(tmp_path: Path) -> None:
    """Each of the backends that share a database has a data directory of its own."""
    places = [PLACE, BucketPlace("bucket", "other"), BucketPlace("other", "some/prefix")]
    identities = [identity(tmp_path, place) for place in places]
    assert len({*identities, None}) == 4
    assert identity(tmp_path / "other", PLACE) == identities[0]
    assert identity(tmp_path, None) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_REGION", "eu west"),
        ("AWS_ACCESS_KEY_ID", "AKIA 123"),
        ("AWS_SECRET_ACCESS_KEY", "é"),
        ("AWS_SESSION_TOKEN", "to\nken"),
    ],
)
def test_a_variable_that_cannot_be_right_is_named_and_its_value_is_not(
    name: str, value: str
) -> None:
    with pytest.raises(ArtifactsError) as refused:
        _open_bucket(PLACE, None, {**RIGHT, name: value})
    assert f"the variable {name} has a value that cannot be right" in str(refused.value)
    assert value not in str(refused.value)


def test_what_is_right_opens_a_bucket() -> None:
    _open_bucket(PLACE, None, RIGHT).close()

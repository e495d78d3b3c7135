"""Settings of a backend: the key shows itself to nobody, options are checked in one place."""

from __future__ import annotations

import inspect
import pickle
from dataclasses import fields
from pathlib import Path

import pytest

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.limits import Limits
from synth_pools.backend.settings import BackendOptions, Secret, Settings, StoreURL
from synth_pools.local import LocalBackend

KEY = "sk_live_abcdef"


def test_the_key_is_in_no_text() -> None:
    settings = Settings(data_dir=Path(), api_key=Secret(KEY))
    for text in (repr(settings), str(settings), repr(settings.api_key), f"{settings.api_key}"):
        assert KEY not in text
    with pytest.raises(TypeError):
        vars(settings.api_key)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(settings)


def test_options_are_checked_under_the_names_that_callers_use() -> None:
    options = BackendOptions.checked(
        Limits(max_queued=3), container_hosts=["Example.ORG.", "[::1]"], keep_finished=60
    )
    assert options.max_queued == 3
    assert options.container_hosts == ("example.org", "::1")
    assert options.keep_finished_seconds == 60
    assert options.health_interval_seconds == 5
    with pytest.raises(BadOptionError, match=r"health_interval must be more than 0"):
        BackendOptions.checked(None, health_interval=0)
    with pytest.raises(TypeError, match="keep_finished_seconds"):
        BackendOptions.checked(None, keep_finished_seconds=60)


def test_what_is_just_within_a_limit_is_taken() -> None:
    for grace in (0, 86_400):
        assert BackendOptions.checked(None, grace=grace).grace_seconds == grace
    for grace in (-1, 86_401):
        with pytest.raises(BadOptionError, match="from 0 to 86400 seconds"):
            BackendOptions.checked(None, grace=grace)
    assert BackendOptions.checked(None, health_interval=3600).health_interval_seconds == 3600


def test_a_start_adds_what_only_it_knows() -> None:
    options = BackendOptions.checked(None, allowed_hosts=["example.org"], grace=2)
    settings = Settings.at_start(
        options, own_host="LocalHost.", data_dir=Path(), api_key=Secret(KEY), own_port=80
    )
    assert settings.allowed_hosts == ("example.org", "localhost")
    assert (settings.grace_seconds, settings.own_port) == (2, 80)


def test_the_backend_takes_every_option_that_there_is() -> None:
    parameters = inspect.signature(LocalBackend).parameters
    defaults = {field.name: field.default for field in fields(BackendOptions)}
    for name, option in BackendOptions.by_field().items():
        assert parameters[option.name].default == defaults[name]


def test_what_is_left_out_is_the_same_wherever_a_backend_is_made() -> None:
    # Above all, whether processes may be started on this machine.
    options = BackendOptions.checked(None)
    assert options.allow_processes is False
    checked = inspect.signature(BackendOptions.checked).parameters
    for name, parameter in inspect.signature(LocalBackend).parameters.items():
        if name in checked and name != "limits":
            assert parameter.default == checked[name].default, name


@pytest.mark.parametrize(
    "url",
    [
        "",
        "postgresql",
        "mysql://root:secret-word@host/x",
        "sqlite:///secret-word",
        "postgresql://u:secret-word@[::1/x",
        "postgresql://u:secret-word@host:port/x",
        "postgresql://u:secret-word@host/x\n",
        "postgresql:///u:secret-word@host/x",
        "postgresql://,a/u:secret-word@host/x",
        "postgresql://u:secret-word@host,/x",
        "postgresql://u:secret-word@host,other:port/x",
    ],
)
def test_what_is_no_address_of_a_store_is_refused_without_a_word_of_it(url: str) -> None:
    with pytest.raises(BadOptionError, match="postgresql://user@host:5432/database") as refused:
        StoreURL("store", url)
    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_an_address_shows_no_password() -> None:
    url = StoreURL(
        "store", "postgres://me:a%20b@db.example.com:5433/pools?password=c&sslmode=require"
    )
    assert str(url) == "postgresql://me@db.example.com:5433/pools"
    assert repr(url) == "StoreURL('postgresql://me@db.example.com:5433/pools')"
    assert set(url.secrets) == {"a%20b", "a b", "c"}
    assert url.reveal().endswith("sslmode=require")
    assert (
        str(StoreURL("store", "postgresql:///pools?host=/run/pg")) == "postgresql:///run/pg/pools"
    )
    assert str(StoreURL("store", "postgresql://[::1]/x")) == "postgresql://[::1]/x"


def test_an_address_of_several_hosts_names_each() -> None:
    url = StoreURL("store", "postgresql://me:a%20b@db-1,[::1]:5433/pools?sslmode=require")
    assert str(url) == "postgresql://me@db-1,[::1]:5433/pools"
    assert url.secrets == ("a%20b", "a b")
    more = "/pools?sslmode=require&target_session_attrs=primary"
    assert [secret.reveal() for secret in url.of_each_host()] == [
        f"postgresql://me:a%20b@db-1{more}",
        f"postgresql://me:a%20b@[::1]:5433{more}",
    ]
    chosen = StoreURL("store", "postgresql://a,b/x?target_session_attrs=any")
    assert [secret.reveal() for secret in chosen.of_each_host()] == [
        f"postgresql://{host}/x?target_session_attrs=any" for host in "ab"
    ]
    for secret in ("postgresql://a/x?host=b,c", "postgresql:///x"):
        assert [secret.reveal() for secret in StoreURL("store", secret).of_each_host()] == [secret]

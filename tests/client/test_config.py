"""Configurations from arguments, environment and defaults."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle
import traceback
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, ConfigurationError, ContainerPoolsClient
from synth_pools._client.config import ClientConfig, configuration_of, resolve_config
from synth_pools._client.secret import Secret

KEY = "sk_live_0123456789abcdef"
MASK = "**********"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTH_API_KEY", raising=False)
    monkeypatch.delenv("SYNTH_BACKEND_URL", raising=False)


def resolve(**settings: Any) -> ClientConfig:
    return resolve_config(**{"api_key": Secret(KEY), **settings})


def test_defaults() -> None:
    config = resolve()
    assert config.base_url == "https://api.usesynth.ai"
    assert config.timeout == 30.0
    assert config.api_key.reveal() == KEY


@pytest.mark.parametrize("api_key", [None, "", " ", "\n"])
@pytest.mark.parametrize("environment", [None, "", "  "])
def test_a_missing_key_names_both_ways_to_give_it(
    api_key: str | None, environment: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if environment is not None:
        monkeypatch.setenv("SYNTH_API_KEY", environment)
    with pytest.raises(ValueError, match=r"api_key.*SYNTH_API_KEY") as caught:
        resolve_config(api_key=Secret.of(api_key))
    assert isinstance(caught.value, ConfigurationError)


def test_the_key_comes_from_the_environment_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYNTH_API_KEY", "  from the environment\n")
    assert resolve_config().api_key == Secret("from the environment")
    assert resolve_config(api_key=Secret("")).api_key == Secret("from the environment")
    assert resolve_config(api_key=Secret(" given ")).api_key == Secret("given")
    with pytest.raises(ConfigurationError):
        resolve_config(api_key=Secret("  "))


@pytest.mark.parametrize(
    "key", [f"{KEY}\r\nX: y", f"{KEY}\0", f"{KEY}\x7f", f"{KEY}é", f"{KEY}\ud800"]
)
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ConfigurationError, match="printable ASCII") as caught:
        resolve_config(api_key=Secret(key))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", [KEY.encode(), 7, [KEY]])
def test_a_key_of_another_type_is_refused_without_being_shown(key: Any) -> None:
    with pytest.raises(ConfigurationError, match=type(key).__name__) as caught:
        resolve_config(api_key=Secret(key))
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    ("base_url", "settled_url"),
    [
        ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
        (" http://127.0.0.1:8080/ ", "http://127.0.0.1:8080"),
        ("http://h/api/v1/", "http://h"),
        ("http://h/v1/api//", "http://h"),
        ("http://h/v1/v1", "http://h"),
        ("http://h/prefix/v1", "http://h/prefix"),
        ("http://h/prefix/", "http://h/prefix"),
        ("http://h/v10", "http://h/v10"),
        ("http://h/xapi", "http://h/xapi"),
        ("HTTPS://Host.Example:443/api", "https://Host.Example:443"),
        ("http://[::1]:80/v1", "http://[::1]:80"),
    ],
)
def test_base_urls(base_url: str, settled_url: str) -> None:
    assert resolve(base_url=base_url).base_url == settled_url
    assert resolve(backend_base=base_url, base_url="http://other").base_url == settled_url


def test_the_base_url_comes_from_the_environment_unless_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SYNTH_BACKEND_URL", "http://environment/v1")
    assert resolve().base_url == "http://environment"
    assert resolve(backend_base="", base_url=" ").base_url == "http://environment"
    assert resolve(base_url="http://given").base_url == "http://given"
    monkeypatch.setenv("SYNTH_BACKEND_URL", " ")
    assert resolve().base_url == "https://api.usesynth.ai"
    monkeypatch.setenv("SYNTH_BACKEND_URL", "nonsense")
    with pytest.raises(ConfigurationError, match="SYNTH_BACKEND_URL"):
        resolve()


@pytest.mark.parametrize(
    "variable",
    [
        "SYNTH_API_URL",
        "SYNTH_BACKEND_URL_OVERRIDE",
        "DEV_SYNTH_BACKEND_URL",
        "PROD_SYNTH_BACKEND_URL",
    ],
)
def test_a_service_that_only_a_published_client_would_call_is_refused(
    variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://user:pass-word@127.0.0.1")
    with pytest.raises(ConfigurationError, match=rf"{variable}.*SYNTH_BACKEND_URL") as caught:
        resolve()
    assert "pass-word" not in str(caught.value)
    assert resolve(base_url="http://given").base_url == "http://given"
    monkeypatch.setenv("SYNTH_BACKEND_URL", "http://environment")
    assert resolve().base_url == "http://environment"
    monkeypatch.delenv("SYNTH_BACKEND_URL")
    monkeypatch.setenv(variable, " ")
    monkeypatch.setenv("BACKEND_URL", "http://general")
    monkeypatch.setenv("ENVIRONMENT", "dev")
    assert resolve().base_url == "https://api.usesynth.ai"


@pytest.mark.parametrize(
    "url",
    [
        "localhost:8080",
        "127.0.0.1",
        "ftp://host",
        "file:///etc/passwd",
        "http://",
        "https:///path",
        "http://user:pass-word@host",
        "http://host?x=1",
        "http://host#x",
        "http://host/#",
        "http://ho st",
        "http://host\n.example",
        "http://host:port",
        "http://host:99999",
        "http://host:0",
        "http://[::1",
        "http://\u2603\u2603.example",
        7,
        b"http://host",
    ],
)
def test_what_is_no_base_url_is_refused_without_being_shown(url: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"base_url|base URL") as caught:
        ContainerPoolsClient(api_key=KEY, base_url=url)
    assert "pass-word" not in str(caught.value)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("name", ["timeout", "timeout_seconds"])
@pytest.mark.parametrize(
    "value", [0, -1, math.nan, math.inf, -math.inf, True, "30", 10**400, 1e10, [30]]
)
def test_what_is_no_time_limit_is_refused(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=name):
        resolve(**{name: value})


def test_the_newer_name_of_the_time_limit_wins() -> None:
    assert resolve(timeout=3, timeout_seconds=0.5).timeout == 0.5
    assert resolve(timeout=-1, timeout_seconds=0.5).timeout == 0.5
    assert resolve(timeout=3).timeout == 3.0


@pytest.mark.parametrize("value", [-1, True, 1.5, "2", None])
def test_what_is_no_number_of_retries_is_refused(value: Any) -> None:
    with pytest.raises(ConfigurationError, match="max_retries"):
        resolve(max_retries=value)


def test_any_number_of_retries_is_taken() -> None:
    assert resolve(max_retries=0).max_retries == 0
    assert resolve(max_retries=9).max_retries == 9


def test_a_configuration_cannot_be_changed() -> None:
    config = resolve()
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.timeout = 1.0  # type: ignore[misc]


def test_a_configuration_is_taken_over_whole() -> None:
    client = ContainerPoolsClient(
        api_key=KEY, base_url="http://h", timeout_seconds=7, max_retries=5
    )
    for kind in (ContainerPoolsClient, AsyncContainerPoolsClient):
        adopted = kind(client)
        assert adopted._config == client._config
        assert (adopted.base_url, adopted.timeout) == ("http://h", 7.0)
        assert kind(adopted)._config is client._config


@pytest.mark.parametrize(
    "setting",
    [
        {"api_key": "x"},
        {"backend_base": "http://x"},
        {"base_url": "http://x"},
        {"timeout": 5.0},
        {"timeout_seconds": 30.0},
        {"max_retries": 0},
    ],
)
def test_a_configuration_is_not_taken_over_in_part(setting: dict[str, Any]) -> None:
    client = ContainerPoolsClient(api_key=KEY)
    with pytest.raises(ConfigurationError, match="not both"):
        AsyncContainerPoolsClient(client, **setting)


@pytest.mark.parametrize("kind", [ContainerPoolsClient, AsyncContainerPoolsClient])
def test_a_key_in_the_place_of_a_client_is_refused_without_being_shown(kind: Any) -> None:
    with pytest.raises(ConfigurationError, match="api_key=") as caught:
        kind("".join(["sk_live_", "0123456789abcdef"]))
    report = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert KEY not in "".join(report.format())


def test_what_is_no_client_is_known_by_its_class_alone() -> None:
    assert configuration_of(None) is None
    assert configuration_of(KEY) is str


def test_a_secret_shows_itself_to_no_one() -> None:
    secret = Secret(KEY)
    texts = [
        repr(secret),
        str(secret),
        f"{secret}",
        repr(dataclasses.asdict(resolve())),
        repr(resolve()),
    ]
    assert all(KEY not in text and "**********" in text for text in texts)
    assert not hasattr(secret, "__dict__")
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(secret, protocol)
    assert copy.copy(secret) is secret
    assert copy.deepcopy({"deep": secret})["deep"] is secret


def test_secrets_are_equal_by_value() -> None:
    assert Secret(KEY) == Secret(KEY)
    assert hash(Secret(KEY)) == hash(Secret(KEY))
    assert Secret(KEY) != Secret("other")
    assert Secret(KEY) != KEY
    assert Secret("é\ud800") != Secret("é")


def test_a_secret_is_blotted_out_of_other_words() -> None:
    secret = Secret(KEY)
    assert secret.redact(f"bad key {KEY}!") == "bad key **********!"
    assert secret.redact_bytes(f"bad key {KEY}!".encode()) == b"bad key **********!"
    assert Secret("key").redact("a key") == "a key", "too short to be told from a word"


@pytest.mark.parametrize(
    ("value", "masked"),
    [
        (["no", {"no": [1, "key-12345678-x"]}], ["no", {"no": [1, f"{MASK}-x"]}]),
        ({"key-12345678": 1, "no": "no"}, {MASK: 1, "no": "no"}),
        ("key-12345678", MASK),
    ],
)
def test_a_secret_is_masked_wherever_it_is_in_json(value: Any, masked: Any) -> None:
    assert Secret("key-12345678").redact_json(value) == masked


@pytest.mark.parametrize("value", [{"a": ["b", 1, None]}, ["a"], "a", 7])
def test_json_without_the_secret_is_not_copied(value: Any) -> None:
    assert Secret("key-12345678").redact_json(value) is value

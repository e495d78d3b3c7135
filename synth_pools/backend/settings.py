"""Settings of a backend: its options, checked, and facts known only at the start."""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from synth_pools.backend.domain.content_places import BucketPlace, bucket_place, endpoint_url
from synth_pools.backend.domain.secret import Secret as Secret
from synth_pools.backend.domain.secret import StoreURL as StoreURL
from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.limits import Limits

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")
_CLUSTER = re.compile(r"auto|(ray://)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):[0-9]{1,5}")
_VARIABLE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

# Form of an option on the command line: a flag, a number of seconds, a duration like 30d, a size
# like 10GiB, a repeatable name or folder, or an address of a service, a database or a cluster.
OptionKind = Literal[
    "flag",
    "seconds",
    "duration",
    "size",
    "hosts",
    "networks",
    "variables",
    "folder",
    "folders",
    "bucket",
    "endpoint",
    "store",
    "ray",
]


@dataclass(frozen=True, slots=True)
class Option:
    """The metadata of a field of `BackendOptions` that callers choose.

    Attributes:
        kind: The form of the value on the command line; None if `serve` does not have the option.
        help: The text of `serve --help`.
        most: The largest number of seconds.
        above_zero: True if 0 seconds are refused.
        serve_default: The default of `serve` if it differs; None if it does not.
        name: The argument of `LocalBackend`, and of `synth-pools serve` with dashes.
    """

    kind: OptionKind | None = None
    help: str = ""
    most: int = 0
    above_zero: bool = False
    serve_default: float | None = None
    name: str = ""

    def check(self, value: Any) -> Any:
        """Return the value to use for a caller's value.

        Raises:
            BadOptionError: The value cannot work on any machine.
        """
        if self.kind == "seconds" and not (
            0 <= value <= self.most and (value or not self.above_zero)
        ):
            range_ = "more than 0 and at most" if self.above_zero else "from 0 to"
            raise BadOptionError(f"{self.name} must be {range_} {self.most} seconds")
        check = _CHECKS.get(self.kind)
        return value if check is None else check(self.name, value)


def hosts(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return host names in the form in which they are compared.

    Args:
        option: The name of the option, for the error.
        names: Names or addresses, as people type them.

    Raises:
        BadOptionError: An entry is no host, but a URL or a port, for example.
    """
    if isinstance(names, str):
        raise BadOptionError(f"{option} is a list of hosts, not one text")
    return tuple(_host(option, name) for name in names)


def networks(option: str, texts: Iterable[str]) -> tuple[str, ...]:
    """Return addresses and networks, each in its usual form.

    Args:
        option: The name of the option, for the error.
        texts: Addresses such as 10.0.0.7, networks such as 10.0.0.0/8, or `*` for all.

    Raises:
        BadOptionError: A text is neither.
    """
    if isinstance(texts, str):
        raise BadOptionError(f"{option} is a list of addresses, not one text")
    texts = tuple(texts)
    for text in texts:
        try:
            if text != "*":
                ipaddress.ip_network(text)
        except ValueError:
            raise BadOptionError(
                f"{option} takes addresses, networks such as 10.0.0.0/8, or *: {text!r}"
            ) from None
    return texts


def variables(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """Return names of environment variables.

    Args:
        option: The name of the option, for the error.
        names: The names, as people type them.

    Raises:
        BadOptionError: A text cannot be the name of a variable.
    """
    if isinstance(names, str):
        raise BadOptionError(f"{option} is a list of names of variables, not one text")
    names = tuple(names)
    for name in names:
        # The message does not repeat the text, which may be the key itself.
        if not _VARIABLE_NAME.fullmatch(name):
            raise BadOptionError(f"{option} takes names of environment variables")
    return names


def folders(option: str, paths: Iterable[str | os.PathLike[str]]) -> tuple[Path, ...]:
    """Return folders by their real paths.

    Args:
        option: The name of the option, for the error.
        paths: The folders.

    Raises:
        BadOptionError: A path is no folder.
    """
    if isinstance(paths, str | os.PathLike):
        raise BadOptionError(f"{option} is a list of folders, not one path")
    resolved = tuple(Path(path).expanduser().resolve() for path in paths)
    for folder in resolved:
        if not folder.is_dir():
            raise BadOptionError(f"{option} takes folders that exist: {str(folder)!r} is none")
    return resolved


def _store(option: str, url: str | None) -> StoreURL | None:
    return None if url is None else StoreURL(option, url)


def _folder(option: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    resolved = Path(path).expanduser().resolve()
    if not resolved.is_dir():
        raise BadOptionError(f"{option} takes a folder that exists: {str(path)!r} is none")
    return resolved


def _cluster(option: str, address: str | None) -> str | None:
    if address is not None and not _CLUSTER.fullmatch(address):
        raise BadOptionError(
            f"{option} takes `auto`, HOST:PORT or ray://HOST:PORT of a Ray cluster: {address!r}"
        )
    return address


def _positive(unit: str) -> Callable[[str, float | None], float | None]:
    def check(option: str, value: float | None) -> float | None:
        if value is not None and not value > 0:
            raise BadOptionError(f"{option} must be more than 0 {unit}")
        return value

    return check


_LONGEST_INTERVAL = 3600
_LONGEST_GRACE = 86_400

# Checks of options by kind: each returns the value to use, given the option's name and the value of
# the caller.
_CHECKS: dict[OptionKind | None, Callable[[str, Any], Any]] = {
    "duration": _positive("seconds"),
    "size": _positive("bytes"),
    "hosts": hosts,
    "networks": networks,
    "variables": variables,
    "folder": _folder,
    "folders": folders,
    "bucket": bucket_place,
    "endpoint": endpoint_url,
    "store": _store,
    "ray": _cluster,
}


def _option(default: Any, *option: Any, **more: Any) -> Any:
    return field(default=default, metadata={"option": Option(*option, **more)})


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendOptions(Limits):
    """Options of a backend, as its user chooses them, limits included."""

    store: StoreURL | None = _option(  # noqa: RUF009 - as for all others
        None,
        "store",
        "The PostgreSQL database that pools, rollouts and events are kept in, such as "
        "postgresql://user@host/database, or @host,standby/database of servers that stand in for "
        "each other; the data directory then holds the key and the contents of artifacts. It needs "
        "the extra `postgres`; several backends may share it. Others on this machine can read a "
        "password here: the variable SYNTH_POOLS_STORE, PGPASSWORD or ~/.pgpass keep it private. "
        "[default: SQLite in the data directory]",
    )
    query_store: StoreURL | None = _option(  # noqa: RUF009 - as for all others
        None,
        "store",
        "The address of the store by a user who reads the views of queries and nothing else, or "
        "the variable SYNTH_POOLS_QUERY_STORE. [default: no queries of a store]",
    )
    artifacts_dir: Path | None = _option(  # noqa: RUF009 - as above
        None,
        "folder",
        "The folder of the contents of artifacts, which backends that share a store share too. "
        "[default: the data directory]",
    )
    artifacts: BucketPlace | None = _option(  # noqa: RUF009 - as above
        None,
        "bucket",
        "The bucket of S3-compatible storage for the contents of artifacts, s3://bucket/prefix. It "
        "needs the extra `s3`, and AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
    )
    artifacts_endpoint: str | None = _option(
        None,
        "endpoint",
        "The service that has the bucket. [default: AWS_ENDPOINT_URL_S3, or Amazon's]",
    )
    container_hosts: tuple[str, ...] = _option(
        (),
        "hosts",
        "A host besides this machine on which containers may be reached; repeat it, or separate "
        "several by commas. With a --host that other machines can reach, this one (localhost) must "
        "be named too.",
    )
    container_key_envs: tuple[str, ...] = _option(
        (),
        "variables",
        "An environment variable from which pools may have the key of their containers taken, "
        "besides ENVIRONMENT_API_KEY and those that begin with CONTAINER_API_KEY; may be repeated.",
    )
    allow_processes: bool = _option(
        False,
        "flag",
        "Start the processes that pools name in config.process. Whoever has a key can then run "
        "any program on this machine, as the user who runs this.",
    )
    process_envs: tuple[str, ...] = _option(
        (),
        "variables",
        "An environment variable that the processes of pools get as it is here, such as "
        "OPENAI_API_KEY, which no pool then has to hold; may be repeated.",
    )
    allow_images: bool = _option(
        False,
        "flag",
        "Start containers of the images that pools name in config.image, with podman or docker. "
        "Whoever has a key can then run any image on this machine.",
    )
    mount_folders: tuple[Path, ...] = _option(
        (),
        "folders",
        "A folder that, with all below it, the containers of images may read if their pool asks "
        "for it; may be repeated.",
    )
    ray: str | None = _option(
        None,
        "ray",
        "Have the containers of pools that say `launcher: ray` placed on the nodes of this Ray "
        "cluster: `auto` for the one of this machine, HOST:PORT of its head, or ray://HOST:PORT of "
        "its client server. Whoever has a key can then run any program on its nodes. It needs the "
        "extra `ray`.",
    )
    health_interval_seconds: float = _option(
        5.0,
        "seconds",
        "From one look at a container to the next.",
        most=_LONGEST_INTERVAL,
        above_zero=True,
    )
    allowed_hosts: tuple[str, ...] = _option(
        (),
        "hosts",
        "A name besides this machine's own by which clients may call the backend; "
        "repeat it, or separate several by commas.",
    )
    forwarded_allow_ips: tuple[str, ...] = _option(
        (),
        "networks",
        "The address of a proxy on another machine, or its network, whose X-Forwarded-Proto and "
        "X-Forwarded-For are believed, as this machine's are; repeat it, or separate several by "
        "commas. * is every client.",
    )
    grace_seconds: float = _option(
        0.0,
        "seconds",
        "How long rollouts that run have to end, once it is told to stop.",
        most=_LONGEST_GRACE,
        serve_default=10.0,
    )
    keep_finished_seconds: float | None = _option(
        None,
        "duration",
        "How long rollouts are kept after their end, for example 30d. [default: for ever]",
    )
    keep_artifacts_bytes: int | None = _option(
        None,
        "size",
        "How much of the contents of artifacts is kept, for example 10GiB: the oldest go first. "
        "[default: all]",
    )
    validate_responses: bool = _option(False)

    @classmethod
    def checked(cls, limits: Limits | None, **options: Any) -> Self:
        """Build options from a caller's values.

        Args:
            limits: The limits; None for the defaults.
            **options: Values by the names of the options.

        Raises:
            BadOptionError: A value cannot work on any machine.
            TypeError: There is no such option.
        """
        values = (
            {limit.name: getattr(limits, limit.name) for limit in fields(Limits)} if limits else {}
        )
        for name, option in cls.by_field().items():
            if option.name in options:
                values[name] = option.check(options.pop(option.name))
        if options:
            raise TypeError(f"there is no option {next(iter(options))!r}")
        if values.get("artifacts_dir") is not None and values.get("store") is None:
            raise BadOptionError(
                "artifacts_dir is shared by backends with one store: give that too"
            )
        if values.get("query_store") is not None and values.get("store") is None:
            raise BadOptionError("query_store is for queries of a store: give that too")
        if values.get("artifacts") is not None and values.get("artifacts_dir") is not None:
            raise BadOptionError("give artifacts or artifacts_dir, not both")
        if values.get("artifacts_endpoint") and values.get("artifacts") is None:
            raise BadOptionError("artifacts_endpoint is for artifacts in s3://bucket/prefix")
        return cls(**values)

    @classmethod
    def by_field(cls) -> dict[str, Option]:
        """Return the options other than limits by the names of their fields, in order."""
        return {
            # Arguments have no unit in their name.
            field_.name: replace(
                field_.metadata["option"],
                name=field_.name.removesuffix("_seconds").removesuffix("_bytes"),
            )
            for field_ in fields(cls)
            if "option" in field_.metadata
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(BackendOptions):
    """Options and facts known at the start; nothing here changes while the backend runs.

    `data_dir` must exist and be locked for this backend by the caller.
    """

    data_dir: Path
    api_key: Secret
    # Several keys with names, which may change while the backend runs; then `api_key` is not used.
    api_keys_file: Path | None = None
    # True if containers on this machine may be called without being named.
    local_containers: bool = True
    # The backend's own port, at which no container may be called.
    own_port: int | None = None
    # Time limit of a check of a container.
    health_timeout_seconds: float = 2.0
    heartbeat_seconds: float = 15.0
    # Time limit of a rollout if neither it nor its pool sets one.
    default_timeout_seconds: float = 600.0
    connect_timeout_seconds: float = 10.0
    probe_timeout_seconds: float = 10.0
    shutdown_seconds: float = 5.0

    @property
    def contents_dir(self) -> Path:
        """The directory of the contents of artifacts."""
        return self.artifacts_dir or self.data_dir

    def as_limits(self) -> Limits:
        """Return the limits alone, for other processes."""
        return Limits(**{limit.name: getattr(self, limit.name) for limit in fields(Limits)})

    @classmethod
    def at_start(cls, options: BackendOptions, *, own_host: str, **runtime: Any) -> Self:
        """Build settings from options and facts known at the start.

        Args:
            options: The options.
            own_host: The name or address that the backend listens on, under which it may be called.
            **runtime: The other fields.
        """
        values = {option.name: getattr(options, option.name) for option in fields(BackendOptions)}
        values["allowed_hosts"] += (own_host.lower().removesuffix("."),)
        return cls(**values, **runtime)


def _host(option: str, name: str) -> str:
    host = name.strip().lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _HOST_NAME.fullmatch(host) and not _is_address(host):
        raise BadOptionError(
            f"{option} takes names or addresses of hosts, without scheme or port: {name!r}"
        )
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

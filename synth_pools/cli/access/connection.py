"""Address of the service and its key: from options, the environment or a profile."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from synth_pools.cli.failures import CommandError, ExitStatus, reported_errors
from synth_pools.cli.options import in_one_argument

if TYPE_CHECKING:
    from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

_Client = TypeVar("_Client", "ContainerPoolsClient", "AsyncContainerPoolsClient")

KEY_VARIABLE = "SYNTH_API_KEY"
URL_VARIABLE = "SYNTH_BACKEND_URL"
DEFAULT_URL = "https://api.usesynth.ai"
# Variables that published clients read to choose the service.
_UNREAD_VARIABLES = (
    "SYNTH_API_URL",
    "SYNTH_BACKEND_URL_OVERRIDE",
    "DEV_SYNTH_BACKEND_URL",
    "PROD_SYNTH_BACKEND_URL",
)


@dataclass(frozen=True)
class ServiceOptions:
    """Options of a command for the service that it calls.

    Attributes:
        url: Its URL; None for that of the environment, of the profile or of the hosted service.
        profile: The profile; None for that of the environment or the current one.
        api_key_file: The file with the key; None for the key of the environment or of the profile.
        timeout: Time limit of an attempt in seconds; None for the client's default.
    """

    url: str | None = None
    profile: str | None = None
    api_key_file: Path | None = None
    timeout: float | None = None

    def resolve(self) -> ResolvedService:
        """Find the URL and the key.

        Raises:
            CommandError: The key is missing, unreadable or for another service; or only a variable
                of published clients names the service.
        """
        # Imported here: it takes 6 ms, and help and completion do not need it.
        from synth_pools.cli.access.profiles import current_profile, read_key

        profile = current_profile(self.profile)
        url, origin = self.url, "--url"
        if url is None and not self.profile and os.environ.get(URL_VARIABLE, "").strip():
            url, origin = os.environ[URL_VARIABLE].strip(), URL_VARIABLE
        if url is None and profile is not None and profile.url:
            url, origin = profile.url, f"profile {profile.name}"
        if url is None:
            for name in _UNREAD_VARIABLES:
                if os.environ.get(name, "").strip():
                    raise CommandError(
                        f"{name} is set, and not read: name the service by {URL_VARIABLE} or "
                        f"--url, or unset it to call {DEFAULT_URL}",
                        ExitStatus.USAGE,
                    )
            url, origin = DEFAULT_URL, "the hosted service"
        if self.api_key_file is not None:
            key = read_key(self.api_key_file)
            return ResolvedService(url, origin, key, str(self.api_key_file))
        in_environment = os.environ.get(KEY_VARIABLE, "").strip()
        if in_environment and not (self.profile and profile and profile.has_key):
            return ResolvedService(url, origin, in_environment, KEY_VARIABLE)
        if profile is not None and profile.has_key:
            if url.rstrip("/") != (profile.url or DEFAULT_URL).rstrip("/"):
                raise CommandError(
                    f"the key of profile {profile.name} is for {profile.url or DEFAULT_URL} and is "
                    f"not sent to another service: set {KEY_VARIABLE} or give --api-key-file",
                    ExitStatus.NOT_ALLOWED,
                )
            return ResolvedService(url, origin, profile.read_key(), f"profile {profile.name}")
        raise CommandError(
            f"there is no API key: set {KEY_VARIABLE}, which `synth-pools serve` prints for a "
            "backend on this machine, or keep one with `synth-pools config set default --key -`",
            ExitStatus.NOT_ALLOWED,
        )

    @contextlib.contextmanager
    def client(self, **settings: Any) -> Iterator[ContainerPoolsClient]:
        """Open a client, whose errors are printed on one line."""
        with reported_errors():
            # Imported here: it loads the HTTP library, which only some commands need.
            from synth_pools import ContainerPoolsClient

            with self._created(ContainerPoolsClient, settings) as client:
                # Only the `items` of lists are printed.
                yield client.with_options(headers={"Prefer": "return=minimal"})

    def async_client(self, **settings: Any) -> AsyncContainerPoolsClient:
        """Create an async client, for use within `reported_errors`."""
        # Imported here for the same reason.
        from synth_pools import AsyncContainerPoolsClient

        return self._created(AsyncContainerPoolsClient, settings)

    def _created(self, kind: Callable[..., _Client], settings: dict[str, Any]) -> _Client:
        # Imported here for the same reason.
        from synth_pools.errors import ConfigurationError

        service = self.resolve()
        if self.timeout is not None:
            settings = {**settings, "timeout": self.timeout}
        try:
            return kind(api_key=service.api_key, base_url=service.url, **settings)
        except ConfigurationError as error:
            # Users of commands do not know the name `base_url`.
            message = str(error).replace("base_url", service.url_origin, 1)
            raise CommandError(message, ExitStatus.USAGE) from error


@dataclass(frozen=True)
class ResolvedService:
    """URL and key of the service, each with its origin: option, variable, file or profile."""

    url: str
    url_origin: str
    api_key: str = field(repr=False)
    key_origin: str


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of a service to a command, which gets them as `connection`."""
    names = [option.name for option in fields(ServiceOptions)]
    return in_one_argument(command, "connection", ServiceOptions, names, _OPTIONS)


_OPTIONS = (
    click.option("--url", metavar="URL", help=f"The service; else {URL_VARIABLE}."),
    click.option("--profile", metavar="NAME", help="A profile of `synth-pools config`."),
    click.option(
        "--api-key-file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help=f"A file with the key; else {KEY_VARIABLE}.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="The time limit of each attempt.",
    ),
)

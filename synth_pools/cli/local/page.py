"""`synth-pools ui`: the live page for any backend, or for the journal of a fleet alone."""

from __future__ import annotations

import os
import sys
import webbrowser
from pathlib import Path

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError
from synth_pools.cli.signals import StopSignals

_WATCH_SECONDS = 60.0


@click.command("ui")
@click.argument("journal", type=click.Path(path_type=Path), required=False)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port to listen on. [default: any]"
)
@click.option("--open/--no-open", "opens", default=True, help="Open a browser, too.")
@connection_options
def ui(journal: Path | None, port: int, opens: bool, connection: ServiceOptions) -> int:
    """Show a backend, or the JOURNAL of a fleet alone, in the browser until ^C.

    The page is served on this machine alone, and its requests are passed on with the key, which the
    browser never has. The link that is printed logs in once, within an hour.

    \b
    Examples:
      synth-pools ui --url http://127.0.0.1:8080
      synth-pools ui run.jsonl
    """
    # Imported here: it takes 60 ms, and other commands do not need it.
    from synth_pools.cli.local.page_server import PageServer

    try:
        if journal is not None:
            server = PageServer.for_journal(journal, port=port)
        else:
            service = connection.resolve()
            server = PageServer.for_backend(service.url, service.api_key, port=port)
    except OSError as error:
        resource = journal if error.filename else f"port {port}"
        raise CommandError(f"cannot use {resource}: {error.strerror}") from None
    except ValueError as error:
        raise CommandError(f"{journal}: {error}" if journal else str(error)) from None
    with StopSignals() as signals, server:
        address = server.login_url()
        if opens and not _has_browser():
            click.echo(f"Open {address} in a browser, there is none here; ^C stops the page.")
        else:
            click.echo(f"The page is at {address}\n\nStop it with ^C.")
            if opens:
                click.launch(address)
        while not signals.wait(_WATCH_SECONDS):
            pass
    return 0


def _has_browser() -> bool:
    """Tell whether a browser can be opened; without a display one would take the terminal."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    if sys.platform == "linux" and not any(map(os.environ.get, displays)):
        return False
    try:
        webbrowser.get()
    except webbrowser.Error:
        return False
    return True

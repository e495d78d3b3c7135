"""`synth-pools contract-judge` and `contract-proxy`: judge a backend by the traffic of others."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import click

from synth_pools.cli.contract.reports import ReportFiles, log_target, report_options
from synth_pools.cli.failures import CommandError, KitCommand, needing
from synth_pools.cli.files import FILE, is_stdout

_EXTRAS = "contract,cli"


@click.command("contract-judge", cls=KitCommand)
@click.argument("traffic", type=FILE)
@report_options
@click.option("--spec", type=FILE, metavar="FILE", help="Judge by this document.")
def contract_judge(traffic: Path, files: ReportFiles, spec: Path | None) -> int:
    """Judge recorded requests and responses: TRAFFIC is a HAR file.

    Each exchange is judged by itself: status, media type, schema, headers, and whether it agrees
    with itself. Exit status: as of `contract-test`.

    \b
    Example:
      synth-pools contract-judge traffic.har --report report.html
    """
    files.check()
    with needing("`contract-judge`", _EXTRAS):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.exceptions import UnjudgeableError
        from synth_pools.contract.traffic.har import read_archive
        from synth_pools.contract.traffic.judge import judge_traffic
    try:
        result = judge_traffic(read_archive(traffic), traffic.name, spec)
    except UnjudgeableError as error:
        raise CommandError(str(error)) from None
    files.write(result)
    files.print_table(result)
    return result.exit_code


@click.command("contract-proxy", cls=KitCommand)
@click.argument("url")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="[default: a free one]")
@report_options
@click.option("--har", type=FILE, metavar="OUT.HAR", help="Keep what passed.")
@click.option("--spec", type=FILE, metavar="FILE", help="Judge by this document.")
def contract_proxy(
    url: str, port: int, files: ReportFiles, har: Path | None, spec: Path | None
) -> int:
    """Pass requests on to the backend at URL and judge what passes, until it is interrupted.

    It listens on 127.0.0.1, and prints where. Exit status after SIGINT or SIGTERM: as of
    `contract-test`.

    \b
    Example:
      synth-pools contract-proxy http://127.0.0.1:8080 --har traffic.har
    """
    files.check(har)
    with needing("`contract-proxy`", _EXTRAS):
        # Imported here for the same reason.
        from synth_pools.contract.exceptions import UnjudgeableError
        from synth_pools.contract.preflight import checked_url
        from synth_pools.contract.results import Exchange
        from synth_pools.contract.traffic.judge import TrafficJudge
        from synth_pools.contract.traffic.log import TrafficLog
        from synth_pools.contract.traffic.proxy import JudgingProxy
    try:
        judge = TrafficJudge(url, spec)
        foreign = judge.document.is_foreign
        backend = checked_url(url, version="") if foreign else checked_url(url)
    except UnjudgeableError as error:
        raise CommandError(str(error)) from None
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    with TrafficLog(log_target(har)) as log:

        def pass_on(exchange: Exchange) -> None:
            log.write(exchange)
            judge.judge(exchange)

        try:
            proxy = JudgingProxy(backend, pass_on, port=port)
        except OSError as error:
            raise CommandError(f"port {port} cannot be had: {error.strerror}") from None
        with proxy:
            click.echo(f"listening on {proxy.url}, for {backend}", err=is_stdout(har))
            # With a limit, so that the handler of the signal can run.
            while not stop.wait(0.5):
                pass
    result = judge.report()
    files.write(result)
    files.print_table(result, har)
    return result.exit_code

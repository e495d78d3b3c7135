"""Options of a run, for the commands that carry out one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, get_args

import click

from synth_pools.cli.failures import CommandError
from synth_pools.cli.files import FILE, check_distinct, force_option
from synth_pools.cli.fleet.requests import RunRequests, read_requests, request_rows
from synth_pools.cli.fleet.summary import GroupedBy
from synth_pools.cli.operations.bodies import body_from_words, validated_body
from synth_pools.cli.options import in_one_argument, not_nan
from synth_pools.cli.output import form_option
from synth_pools.runs.recorded import name_in_journal

_LONGEST_NAME = 128
_READ_FILE = click.Path(path_type=Path, dir_okay=False)


def _added_by(decorator: Callable[..., Any]) -> Any:
    """Return a field whose option a decorator adds to a command."""
    return field(metadata={"decorator": decorator})


def _option(*names: str, **attributes: Any) -> Any:
    return _added_by(click.option(*names, **attributes))


def _count(name: str, kind: click.IntRange, default: int, text: str) -> Any:
    return _option(name, type=kind, default=default, show_default=True, metavar="N", help=text)


@dataclass(frozen=True)
class RunOptions:
    """Options of a run, each a field; `options_of_run` adds them to a command."""

    seeds: str | None = _option(
        "--seeds", metavar="RANGE", help="A rollout for each: 0..499, or 1,5,10..20."
    )
    file: Path | None = _option(
        "--requests",
        "file",
        type=_READ_FILE,
        metavar="FILE",
        help="A rollout for each line, a request in JSON; with --seeds for each seed of each line.",
    )
    tasks: tuple[str, ...] = _option(
        "--task",
        "--tasks",
        "tasks",
        multiple=True,
        metavar="TASK",
        help="The task; repeat it for several, or give all for those that the pool has.",
    )
    env: tuple[str, ...] = _option(
        "--env",
        multiple=True,
        metavar="KEY=VALUE",
        help="A setting of the environment; repeatable.",
    )
    name: str | None = _option(
        "--name",
        metavar="NAME",
        help="The name of the run, on the service and in metadata.run of all its rollouts. "
        "[default: on the service that of a new journal]",
    )
    labels: tuple[str, ...] = _option(
        "--label",
        "labels",
        multiple=True,
        metavar="NAME=VALUE",
        help="A label of all its rollouts; repeatable.",
    )
    repeats: int = _count("--repeats", click.IntRange(1, 10_000), 1, "Rollouts of each seed.")
    until_sure: float | None = _option(
        "--until-sure",
        type=click.FloatRange(0, min_open=True),
        callback=not_nan,
        metavar="REWARD",
        help="Look at the mean reward after 2, 4, 8, ... repeats, and stop once its 95 % interval "
        "is no wider than this to either side.",
    )
    in_flight: int = _count(
        "--in-flight", click.IntRange(1, 10_000), 64, "Most rollouts at a time."
    )
    retries: int = _count(
        "--retries", click.IntRange(0, 1000), 0, "How often a rollout that failed is run again."
    )
    journal: Path | None = _option(
        "--journal",
        type=_READ_FILE,
        metavar="FILE",
        help="A file for every step: the same command continues after any interruption.",
    )
    out: Path | None = _option(
        "--out",
        type=FILE,
        metavar="FILE",
        help="A line of JSON for each result, as it comes; - for standard output.",
    )
    prices: Path | None = _option(
        "--prices",
        type=_READ_FILE,
        metavar="FILE",
        help="Prices by model, YAML: dollars for a million tokens of input, output and cached. "
        "Costs are estimated where containers report tokens alone.",
    )
    max_cost_usd: float | None = _option(
        "--max-cost",
        "max_cost_usd",
        type=click.FloatRange(0),
        callback=not_nan,
        metavar="USD",
        help="Start nothing more once the rollouts have cost this; those under way may cost more.",
    )
    max_tokens: int | None = _option(
        "--max-tokens",
        type=click.IntRange(0),
        metavar="N",
        help="The same of tokens that models read and write.",
    )
    max_seconds: float | None = _option(
        "--max-seconds",
        type=click.FloatRange(0),
        callback=not_nan,
        metavar="SECONDS",
        help="The same of the time of this command.",
    )
    on_budget: Literal["finish", "cancel"] = _option(
        "--on-budget",
        type=click.Choice(["finish", "cancel"]),
        default="finish",
        show_default=True,
        help="Finish or cancel what is under way at the budget.",
    )
    only: Literal["failed", "missing"] | None = _option(
        "--only",
        type=click.Choice(["failed", "missing"]),
        help="Run again what failed in --out, or is missing from it; not with --journal.",
    )
    fail_under: float | None = _option(
        "--fail-under",
        type=float,
        callback=not_nan,
        metavar="REWARD",
        help="Exit with 1 if the mean reward is less.",
    )
    by: GroupedBy | None = _option(
        "--by",
        type=click.Choice(get_args(GroupedBy)),
        help="Sum up the results of each task, group (repeats of a seed) or seed, too.",
    )
    form: str = _added_by(form_option("The summary as a table or as JSON."))
    force: bool = _added_by(force_option)

    def requests(self, body: Sequence[str]) -> RunRequests:
        """Read the requests of the run.

        Args:
            body: The words of the body of all requests.

        Raises:
            CommandError: An option cannot be used.
        """
        words = [*body, *(f"env.{word}" for word in self.env)]
        common = body_from_words(words, "RolloutRequest", required=False) or {}
        # Once: a pipe has no second reading.
        rows = None if self.file is None else request_rows(self.file)

        @functools.cache
        def requests_of(name: str | None) -> RunRequests:
            return read_requests(
                common,
                seeds=self.seeds,
                rows=rows,
                tasks=self.tasks,
                name=name,
                repeats=self.repeats,
                in_rounds=self.until_sure is not None,
            )

        name = self.name
        if name is None and self.journal is not None and self.journal.is_file():
            name = name_in_journal(self.journal, lambda name, index: requests_of(name)[index])
        requests = requests_of(name)
        if self.until_sure is not None and (self.repeats < 2 or self.only is not None):
            raise CommandError("--until-sure needs --repeats 2 or more, and no --only")
        has_sums = self.max_cost_usd is not None or self.max_tokens is not None
        if self.until_sure is not None and has_sums and self.journal is None:
            raise CommandError("--until-sure with --max-cost or --max-tokens needs --journal")
        check_distinct(self.out, self.journal, self.file)
        check_distinct(self.journal, self.file)
        # Checked before anything starts.
        self.fields()
        return requests

    def fields(self) -> dict[str, Any]:
        """Return the name of the run and the labels, as `run_many` takes them.

        Raises:
            CommandError: One cannot be used.
        """
        fields: dict[str, Any] = {"run": self.name, "labels": {}}
        if self.name is None and self.journal is not None and not self.journal.exists():
            fields["run"] = self.journal.stem[:_LONGEST_NAME].encode(errors="replace").decode()
        for text in self.labels:
            name, equals, value = text.partition("=")
            if not equals:
                raise CommandError(f"--label {text!r}: write NAME=VALUE")
            fields["labels"][name] = value
        return validated_body(fields, "RolloutRequest", origin="--name and --label")


def options_of_run(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options of a run to a command, which gets them as one argument, `options`."""
    names = [option.name for option in fields(RunOptions)]
    decorators = [option.metadata["decorator"] for option in fields(RunOptions)]
    return in_one_argument(command, "options", RunOptions, names, decorators)

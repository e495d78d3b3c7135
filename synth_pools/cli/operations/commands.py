"""Commands from rows of the table: what is asked for, and how its answer is written."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus
from synth_pools.cli.operations.model import CommandRow

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient

FORMATS = ("table", "json", "jsonl", "yaml", "id")
_EXAMPLE_WIDTH = 74
_OUTPUT_HELP = (
    "How to write the answer: a table, the service's own JSON (jsonl: an item a line), YAML, or "
    "ids alone."
)


def output_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the option for the format of its output."""
    option = click.option(
        "-o",
        "--output",
        type=click.Choice(FORMATS),
        default="table",
        show_default=True,
        help=_OUTPUT_HELP,
    )
    decorated: Callable[..., Any] = option(command)
    return decorated


def complete_places(context: click.Context, parameter: click.Parameter, begun: str) -> list[Any]:
    """Complete the id that is given for a parameter."""
    # Only where a shell asks for it.
    from synth_pools.cli.operations.ids import complete_ids

    found: list[Any] = complete_ids(context, parameter, begun)
    return found


def command_of(row: CommandRow) -> click.Command:
    """Make the command of a row."""

    def call(connection: ServiceOptions, **given: Any) -> int:
        return _run(row, connection, given)

    decorated: Any = call
    if row.destroys:
        decorated = click.option("-y", "--yes", is_flag=True, help="Do not ask.")(decorated)
    decorated = _option_of_kind(row)(connection_options(decorated))
    for option in reversed(row.options):
        kind: Any = click.INT if option.type == "integer" else None
        decorated = click.option(
            option.flag,
            option.name,
            type=click.Choice(option.choices) if option.choices else kind,
            metavar=None if option.choices else _metavar(option.name),
            help=option.help or None,
            shell_complete=complete_places if option.name.endswith("_id") else None,
        )(decorated)
    if row.body:
        decorated = click.argument("body", nargs=-1, metavar="[BODY]...")(decorated)
    for place in reversed(row.arguments):
        decorated = click.argument(place, metavar=_metavar(place), shell_complete=complete_places)(
            decorated
        )
    return click.command(
        row.name, help=_help(row), short_help=f"{row.summary}.", hidden=row.hidden
    )(decorated)


def _option_of_kind(row: CommandRow) -> Callable[[Any], Any]:
    if row.kind == "download":
        return click.option(
            "--to",
            type=click.Path(path_type=Path),
            metavar="PATH",
            help="The file, or a folder for it. [default: a file of its name, here]",
        )
    if row.kind == "stream":
        page = click.option(
            "--no-follow", is_flag=True, help="Write what there is by now, one page, and end."
        )
        return lambda command: page(output_option(command))
    if any(option.name == "cursor" for option in row.options):
        everything = click.option("--all", is_flag=True, help="All pages, not the first alone.")
        return lambda command: everything(output_option(command))
    return output_option


def _metavar(name: str) -> str:
    return name.removesuffix("_id").upper()


def _help(row: CommandRow) -> str:
    parts = [f"{row.summary}.", row.description]
    if row.body:
        # Loaded with the one thing that is needed of it, 2 ms.
        from synth_pools.cli.operations.bodies import BODY_HELP

        parts.append(BODY_HELP)
    parts.append(f"\b\nExample:\n{_wrapped(row.example)}")
    return "\n\n".join(part for part in parts if part)


def _wrapped(example: str) -> str:
    """Break a command line where it is wider than a terminal, as a shell reads it."""
    line, lines = "", []
    for word in example.split(" "):
        if line and len(line) + len(word) > _EXAMPLE_WIDTH:
            lines.append(f"{line} \\")
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else f"  {word}"
    return "\n".join([*lines, line])


def _run(row: CommandRow, connection: ServiceOptions, given: dict[str, Any]) -> int:
    operation, arguments = _chosen(row, given)
    body = None
    if row.body:
        # With the standard library's decoder, which commands without a body load later.
        from synth_pools.cli.operations.bodies import body_from_words

        body = body_from_words(given["body"], row.body, required=row.body_required)
    if row.destroys and not given["yes"]:
        confirm(f"{row.summary}: {' '.join(arguments[place] for place in row.arguments)}?")
    # With the client, which help and completion do without.
    from synth_pools.cli.operations.ids import suggesting

    with connection.client() as client, suggesting(client, **arguments):
        _answer(row, client, operation, arguments, body, given)
    return ExitStatus.DONE


def _chosen(row: CommandRow, given: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Choose the operation by the places that are named, and collect its parameters."""
    named = {name for _, places in row.operations for name in places if given.get(name) is not None}
    for operation, places in row.operations:
        if set(places) == named:
            options = {option.name: given[option.name] for option in row.options}
            return operation, {**{place: given[place] for place in row.arguments}, **options}
    flags = ", ".join(option.flag for option in row.options if option.name in named)
    raise click.UsageError(f"{flags or 'these options'} cannot be given like this")


def _answer(
    row: CommandRow,
    client: ContainerPoolsClient,
    operation: str,
    arguments: dict[str, Any],
    body: dict[str, Any] | None,
    given: dict[str, Any],
) -> None:
    # With the standard library's decoder, which help and completion do without.
    from synth_pools.cli import output

    if row.kind == "download":
        to = given["to"] or Path(_file_name(row, arguments))
        if to.is_dir():
            to /= _file_name(row, arguments)
        output.write_text(f"{client.operations.save(operation, arguments, to)}\n")
        return
    form = given["output"]
    if row.kind == "stream":
        _follow(client, operation, arguments, given)
        return
    while True:
        content = client.operations.call(operation, arguments, body=body)
        value = output.decode_answer(content) if given.get("all") or form == "table" else None
        following = None
        # What can be followed has a next page that holds nothing yet.
        if isinstance(value, dict) and value.get("has_more") is not False:
            following = value.get("next_cursor")
        output.write_answer(content, form, row.columns)
        if not following:
            return
        if not given.get("all"):
            output.say(f"There is more: --all, or --cursor {output.safe_text(str(following))}")
            return
        arguments = {**arguments, "cursor": following}


def _follow(
    client: ContainerPoolsClient, operation: str, arguments: dict[str, Any], given: dict[str, Any]
) -> None:
    # As above.
    from synth_pools.cli import output

    form = given["output"]
    of_many = "rollout_id" not in arguments
    if given["no_follow"]:
        page = client.operations.call(operation, {**arguments, "format_": "json"})
        if form in ("json", "yaml"):
            output.write_answer(page, form)
            return
        for event in output.decode_answer(page).get("events", ()):
            write_event(event, form, of_many=of_many)
        return
    # The length of a page is nothing that a stream has.
    asked = {name: value for name, value in arguments.items() if name != "limit"}
    with client.operations.events(operation, asked) as events:
        for event in events:
            write_event(event, form, of_many=of_many)


def write_event(event: dict[str, Any], form: str, *, of_many: bool = False) -> None:
    """Write an event on a line of its own, or several as YAML; of which rollout, if of many."""
    # As above.
    import json

    from synth_pools.cli import output

    if form in ("json", "jsonl"):
        output.write_bytes(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
    elif form == "yaml":
        output.write_text(f"---\n{output.as_yaml(event)}")
    elif form == "id":
        output.write_text(f"{output.id_of(event)}\n")
    else:
        output.write_text(f"{event_line(event, of_many=of_many)}\n")
    sys.stdout.flush()


def event_line(event: dict[str, Any], *, of_many: bool = False) -> str:
    """Write an event for people: when, of which rollout if of many, which, what."""
    # As above.
    from synth_pools.cli import output

    moment = f"{str(event.get('timestamp', ''))[:23]:<23}".replace("T", " ").replace("Z", " ")
    name = output.safe_text(str(event.get("event", "")))
    data = event.get("data")
    # All of an id, which is what further commands take.
    rollout = f"{output.safe_text(str(event.get('rollout_id', '')))}  " if of_many else ""
    moment = moment[11:] if of_many else moment
    begun = f"{output.safe_text(moment)}  {rollout}{name:<18}  "
    shown = output.cell(data, longest=max(20, output.width() - len(begun))) if data else ""
    line = f"{begun}{shown}".rstrip()
    return output.coloured(line) if output.has_colour(sys.stdout) else line


def _file_name(row: CommandRow, arguments: dict[str, Any]) -> str:
    """Name a downloaded file after the last id of its path, without anything that leads away."""
    last = str(arguments[row.arguments[-1]]).replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(character for character in last if character.isprintable()).lstrip(".")
    return f"{plain or 'download'}{row.suffix}"


def confirm(question: str) -> None:
    """Ask on a terminal; elsewhere nobody could answer.

    Raises:
        CommandError: Nobody can be asked, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can be asked here: give --yes to do it")
    if not click.confirm(question, err=True):
        raise CommandError("nothing was done", ExitStatus.FAILED)

"""Commands of the rows of the table: their options, their calls and their output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus
from synth_pools.cli.files import FILE, complete_file, force_option, is_stream
from synth_pools.cli.operations.model import BYTES, CommandParameter, CommandRow
from synth_pools.cli.options import FilterOption

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient

FORMATS = ("table", "json", "jsonl", "yaml", "id")
_EXAMPLE_WIDTH = 74
# Columns of the figures that lists are sorted by, where they are not among those of the list.
_SORTED_BY = {"cost": ("cost_usd",), "duration": ("run_seconds",)}
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


def complete_places(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[Any]:
    """Complete the id of a parameter."""
    # Imported here: only the completion of a shell needs it.
    from synth_pools.cli.operations.ids import complete_ids

    ids: list[Any] = complete_ids(context, parameter, incomplete)
    return ids


def command_of(row: CommandRow) -> click.Command:
    """Build the command of a row."""

    def call(connection: ServiceOptions, **values: Any) -> int:
        return _run(row, connection, values)

    decorated: Any = call
    if row.destroys:
        decorated = click.option("-y", "--yes", is_flag=True, help="Do not ask.")(decorated)
    decorated = _option_of_kind(row)(connection_options(decorated))
    for option in reversed(row.options):
        kind: Any = click.INT if option.type == "integer" else None
        is_single = row.kind == "list" and option.type not in ("array", "object")
        decorated = click.option(
            option.flag,
            option.key,
            cls=FilterOption if is_single else None,
            type=click.Choice(option.choices) if option.choices else kind,
            metavar=None if option.choices else _metavar(option),
            multiple=option.type in ("array", "object"),
            help=option.help or None,
            shell_complete=complete_places if option.name.endswith("_id") else None,
        )(decorated)
    if row.body:
        decorated = click.argument("body", nargs=-1, metavar="[BODY]...")(decorated)
    for place in reversed(row.arguments):
        metavar = _place_metavar(place)
        decorated = click.argument(place, metavar=metavar, shell_complete=complete_places)(
            decorated
        )
    return click.command(
        row.name, help=_help(row), short_help=f"{row.summary}.", hidden=row.hidden
    )(decorated)


def _option_of_kind(row: CommandRow) -> Callable[[Any], Any]:
    if row.kind == "download":
        to = click.option(
            "--to",
            type=FILE,
            metavar="PATH",
            help="The file, a folder for it, or - for standard output. [default: a file of its "
            "name, here]",
        )
        return lambda command: to(force_option(command))
    if row.kind == "stream":
        page = click.option(
            "--no-follow", is_flag=True, help="Write what there is by now, one page, and end."
        )
        return lambda command: page(output_option(command))
    if any(option.name == "cursor" for option in row.options):
        everything = click.option("--all", is_flag=True, help="All pages, not the first alone.")
        return lambda command: everything(output_option(command))
    return output_option


def _place_metavar(name: str) -> str:
    return name.removesuffix("_id").upper()


def _metavar(option: CommandParameter) -> str:
    return "KEY=VALUE" if option.type == "object" else _place_metavar(option.name)


def _help(row: CommandRow) -> str:
    parts = [f"{row.summary}.", row.description]
    if row.body:
        # Imported here: it takes 2 ms, and only commands with a body need it.
        from synth_pools.cli.operations.bodies import BODY_HELP, BYTES_HELP

        parts.append(BYTES_HELP if row.body == BYTES else BODY_HELP)
    parts.append(f"\b\nExample:\n{_wrapped(row.example)}")
    return "\n\n".join(part for part in parts if part)


def _wrapped(example: str) -> str:
    """Wrap a command line that is wider than a terminal, in a form that a shell reads."""
    line, lines = "", []
    for word in example.split(" "):
        if line and len(line) + len(word) > _EXAMPLE_WIDTH:
            lines.append(f"{line} \\")
            line = f"    {word}"
        else:
            line = f"{line} {word}" if line else f"  {word}"
    return "\n".join([*lines, line])


def _run(row: CommandRow, connection: ServiceOptions, values: dict[str, Any]) -> int:
    operation, arguments = _chosen(row, values)
    body: dict[str, Any] | bytes | None = None
    if row.body:
        # Imported here: it loads the JSON decoder, which commands without a body need later.
        from synth_pools.cli.operations.bodies import body_from_words, bytes_from_words

        read = bytes_from_words if row.body == BYTES else body_from_words
        body = read(values["body"], row.body, required=row.body_required)
    # Imported here: help and completion do not need the client.
    from synth_pools.cli.operations.ids import full_ids, with_full_ids

    if row.destroys and not values["yes"]:
        if sys.stdin.isatty():
            with connection.client() as client:
                arguments = full_ids(client, arguments)
        confirm(f"{row.summary}: {' '.join(arguments[place] for place in row.arguments)}?")

    with connection.client() as client:

        def answer(arguments: dict[str, Any]) -> None:
            _answer(row, client, operation, arguments, body, values)

        # Without a question a mistyped id must not destroy something else.
        with_full_ids(client, answer, arguments, takes_parts=not row.destroys)
    return ExitStatus.DONE


def _chosen(row: CommandRow, values: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Choose the operation by the path parameters among the options, and collect its parameters."""
    used_places = {
        name for _, places in row.operations for name in places if values.get(name) is not None
    }
    for operation, places in row.operations:
        if set(places) == used_places:
            try:
                options = {option.name: option.value(values) for option in row.options}
            except ValueError as error:
                raise click.UsageError(str(error)) from None
            return operation, {**{place: values[place] for place in row.arguments}, **options}
    flags = ", ".join(option.flag for option in row.options if option.name in used_places)
    raise click.UsageError(f"{flags or 'these options'} cannot be given like this")


def _answer(
    row: CommandRow,
    client: ContainerPoolsClient,
    operation: str,
    arguments: dict[str, Any],
    body: dict[str, Any] | bytes | None,
    values: dict[str, Any],
) -> None:
    # Imported here: help and completion do not need the JSON decoder.
    from synth_pools.cli import output

    if row.kind == "download":
        to = values["to"] or Path(_file_name(row, arguments))
        if to.is_dir():
            to /= _file_name(row, arguments)
        with complete_file(to, force=values["force"]) as path:
            client.operations.save(operation, arguments, path)
        if not is_stream(to):
            output.write_text(f"{to}\n")
        return
    form = values["output"]
    columns = (*row.columns[:3], *_SORTED_BY.get(values.get("sort", ""), ()), *row.columns[3:])
    if row.kind == "stream":
        _follow(client, operation, arguments, values)
        return
    if values.get("all"):
        output.write_pages(_pages(client, operation, arguments), form, columns)
        return
    content = client.operations.call(operation, arguments, body=body)
    step = arguments.get("step")
    if operation == "get_global_rollout_trajectory" and (form == "table" or step is not None):
        # Imported here: this command alone needs it.
        from synth_pools.cli.operations.trajectories import has_no_steps, trajectory_text

        trajectory = output.decode_answer(content)
        if step is not None and has_no_steps(trajectory):
            message = f"--step {output.safe_text(step)}: the trajectory has no such step"
            raise CommandError(message, ExitStatus.NOT_FOUND)
        if form == "table":
            output.write_text(trajectory_text(trajectory))
            return
    following = None
    if form == "table" or values.get("cursor") is not None:
        following = _following(content, cursor=values.get("cursor"))
    output.write_answer(content, form, columns)
    if following:
        output.say(f"There is more: --all, or --cursor {output.safe_text(str(following))}")


def _pages(
    client: ContainerPoolsClient, operation: str, arguments: dict[str, Any]
) -> Iterator[bytes]:
    content = client.operations.call(operation, arguments)
    following = _following(content, cursor=arguments.get("cursor"))
    yield content
    while following and following != arguments.get("cursor"):
        arguments = {**arguments, "cursor": following}
        content = client.operations.call(operation, arguments)
        following = _following(content)
        yield content


def _following(content: bytes, *, cursor: str | None = None) -> Any:
    """Return the cursor of the page after one; None after the last one.

    Raises:
        CommandError: There is nothing after the cursor of the caller.
    """
    # Imported here for the same reason.
    from synth_pools.cli import output

    value = output.decode_answer(content)
    # False for a log that can be followed: its next page is still empty.
    if not isinstance(value, dict) or value.get("has_more") is False:
        return None
    following = value.get("next_cursor")
    if cursor is not None and not following and value.get("items") == []:
        # A service sends the same for what it has never issued.
        raise CommandError("--cursor: there is no page of this list after it")
    return following


def _follow(
    client: ContainerPoolsClient, operation: str, arguments: dict[str, Any], values: dict[str, Any]
) -> None:
    # Imported here for the same reason.
    from synth_pools.cli import output

    form = values["output"]
    of_many = "rollout_id" not in arguments
    if values["no_follow"]:
        page = client.operations.call(operation, {**arguments, "format_": "json"})
        if form in ("json", "yaml"):
            output.write_answer(page, form)
            return
        for event in output.decode_answer(page).get("events", ()):
            write_event(event, form, of_many=of_many)
        return
    # A stream has no pages to limit.
    parameters = {name: value for name, value in arguments.items() if name != "limit"}
    with client.operations.events(operation, parameters) as events:
        for event in events:
            write_event(event, form, of_many=of_many)


def write_event(event: dict[str, Any], form: str, *, of_many: bool = False) -> None:
    """Write an event in one of the `FORMATS`; `of_many` adds its rollout for people."""
    # Imported here for the same reason.
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
    """Write an event for people: time, rollout if `of_many`, name and data."""
    # Imported here for the same reason.
    from synth_pools.cli import output

    moment = f"{str(event.get('timestamp', ''))[:23]:<23}".replace("T", " ").replace("Z", " ")
    name = output.safe_text(str(event.get("event", "")))
    data = event.get("data")
    # Not shortened: other commands take the whole id.
    rollout = f"{output.safe_text(str(event.get('rollout_id', '')))}  " if of_many else ""
    moment = moment[11:] if of_many else moment
    head = f"{output.safe_text(moment)}  {rollout}{name:<18}  "
    tail = output.cell(data, longest=max(20, output.width() - len(head))) if data else ""
    line = f"{head}{tail}".rstrip()
    return output.coloured(line) if output.has_colour(sys.stdout) else line


def _file_name(row: CommandRow, arguments: dict[str, Any]) -> str:
    """Name a downloaded file after the last id of its path, else the verb, without folders."""
    if not row.arguments:
        return row.suffix.removeprefix("-") or row.name
    last = str(arguments[row.arguments[-1]]).replace("\\", "/").rstrip("/").rpartition("/")[2]
    plain = "".join(character for character in last if character.isprintable()).lstrip(".")
    return f"{plain or 'download'}{row.suffix}"


def confirm(question: str) -> None:
    """Ask for confirmation on a terminal.

    Raises:
        CommandError: There is no terminal, or the answer is no.
    """
    if not sys.stdin.isatty():
        raise CommandError(f"{question} Nobody can be asked here: give --yes to do it")
    if not click.confirm(question, err=True):
        raise CommandError("nothing was done", ExitStatus.FAILED)

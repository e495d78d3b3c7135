"""Rows of the table of commands that `make generate` writes from openapi.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

Kind = Literal["list", "get", "act", "stream", "download"]
# Stands for the schema of a body that has none, because it is sent as it is.
BYTES = "bytes"


class CommandParameter(NamedTuple):
    """Option of a command: a parameter of its operation.

    Attributes:
        name: The parameter, as `client.operations` takes it.
        flag: The option, with its dashes.
        type: Type of its value; a list or an object takes the option several times.
        choices: Its possible values; empty for any.
        help: Its first sentence in the document.
    """

    name: str
    flag: str
    type: Literal["text", "integer", "array", "object"]
    choices: tuple[str, ...] = ()
    help: str = ""

    @property
    def key(self) -> str:
        """Name of its value among those of the command."""
        return f"query_{self.name}" if self.flag.startswith("--query-") else self.name

    def value(self, values: Mapping[str, Any]) -> Any:
        """Return its value for `client.operations`; None without the option.

        Raises:
            ValueError: A part of an object is not ``KEY=VALUE``; the message says so.
        """
        value = values[self.key]
        if self.type not in ("array", "object"):
            return value
        pairs = [text.partition("=") for text in value] if self.type == "object" else []
        if not all(key and equals for key, equals, _ in pairs):
            raise ValueError(f"{self.flag} takes KEY=VALUE, several times for several keys")
        return ({key: text for key, _, text in pairs} or [*value]) or None


class CommandRow(NamedTuple):
    """Command for an operation, or for several that differ by the parameters of their paths.

    Attributes:
        group: The command group; empty for a command of the program itself.
        name: The verb.
        kind: Use of the answer.
        operations: The operations, each with the parameters of its path. The options decide which
            one is called.
        arguments: The parameters that all paths have.
        options: The other parameters.
        summary: One line.
        description: The other sentences of the document.
        example: A command line.
        aliases: Other verbs for it.
        columns: Columns of its table, by keys, with dots for nested ones.
        body: The schema of its body, or `BYTES`; empty for none.
        body_required: Whether the body is required.
        destroys: Whether it cannot be undone.
        hidden: Whether lists of commands leave it out.
        suffix: Suffix of the name of a downloaded file, after the id.
    """

    group: str
    name: str
    kind: Kind
    operations: tuple[tuple[str, tuple[str, ...]], ...]
    arguments: tuple[str, ...]
    options: tuple[CommandParameter, ...]
    summary: str
    description: str
    example: str
    aliases: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    body: str = ""
    body_required: bool = False
    destroys: bool = False
    hidden: bool = False
    suffix: str = ""


class IdSource(NamedTuple):
    """Operation that lists the ids of a parameter, and the key of the id in an item."""

    operation: str
    arguments: tuple[str, ...]
    key: str

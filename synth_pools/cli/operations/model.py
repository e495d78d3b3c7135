"""Rows of the table of commands that `make generate` writes from openapi.yaml."""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["list", "get", "act", "stream", "download"]


class CommandParameter(NamedTuple):
    """Option of a command: a parameter of its operation.

    Attributes:
        name: The parameter, as `client.operations` takes it.
        flag: The option, with its dashes.
        type: What its value is: text or a whole number.
        choices: The values that it may have; empty for any.
        help: Its first sentence in the document.
    """

    name: str
    flag: str
    type: Literal["text", "integer"]
    choices: tuple[str, ...] = ()
    help: str = ""


class CommandRow(NamedTuple):
    """Command for an operation, or for one that has a form for a narrower place beside it.

    Attributes:
        group: The command group; empty for a command of the program itself.
        name: The verb.
        kind: What is done with the answer.
        operations: The operations, each with the parameters of its path; which one is called
            follows from the options that are given.
        arguments: The parameters of the path that all of them have.
        options: The others.
        summary: One line.
        description: What the document says beside it.
        example: A command line.
        aliases: Other verbs for it.
        columns: What a table shows, by keys; a dot leads into an object.
        body: The schema of its body; empty where there is none.
        body_required: Whether it cannot be left out.
        destroys: Whether what it ends is gone.
        hidden: Whether lists of commands leave it out.
        suffix: How the name of a downloaded file ends, behind the id.
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
    """Place where the ids of a parameter are found.

    Attributes:
        operation: The operation that lists them.
        arguments: The parameters of its path.
        key: The key of an item that is the id.
    """

    operation: str
    arguments: tuple[str, ...]
    key: str

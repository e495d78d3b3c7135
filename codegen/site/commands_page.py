"""Reference of the command line."""

from __future__ import annotations

import inspect
import re
from typing import Any

import click

from codegen.site.schema_tables import cell, table
from synth_pools.cli.listing import iter_commands
from synth_pools.cli.main import root

COMMANDS_PAGE = "reference/commands.md"
_ABOUT_COMMANDS = """\
What `synth-pools commands --output json` lists; [the command line](../command-line.md) says how
it is used. Commands that speak with a service have these options as well:"""


def command_page() -> str:
    """Write the page of all commands, with usage, help and options."""
    context = click.Context(root, info_name="synth-pools", **root.context_settings)
    listed = [command for command in iter_commands(context) if not command["hidden"]]
    # Options of every command are listed once.
    common = _common_options(listed)
    chapters = ["# Commands", _ABOUT_COMMANDS, _options(common)]
    for command in listed:
        chapters += [
            f"## {command['command']}",
            f"```text\n{command['usage']}\n```",
            _help(command["help"]),
        ]
        if command["aliases"]:
            group = command["command"].rpartition(" ")[0]
            names = ", ".join(
                f"`{group} {alias}`".replace("` ", "`") for alias in command["aliases"]
            )
            chapters.append(f"Also: {names}")
        options = [option for option in command["options"] if option not in common]
        options = [option for option in options if "--help" not in option["flags"]]
        if options:
            chapters.append(_options(options))
    return "\n\n".join(chapters) + "\n"


def _common_options(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    about_services = {"--url", "--profile", "--api-key-file", "--timeout"}
    options = {}
    for command in listed:
        if command["operations"]:
            for option in command["options"]:
                if about_services & set(option["flags"]):
                    options[option["flags"][0]] = option
    return list(options.values())


def _options(options: list[dict[str, Any]]) -> str:
    rows = []
    for option in options:
        flags = ", ".join(f"`{flag}`" for flag in option["flags"])
        takes = f" `{option['metavar']}`" if option["metavar"] else ""
        about = cell(option["help"])
        if option["choices"]:
            about += f" One of: {', '.join(f'`{choice}`' for choice in option['choices'])}."
        if option["default"] is not None and not option["is_flag"]:
            about += f" Default: `{option['default']}`."
        rows.append([flags + takes, about.replace("<", "&lt;")])
    return table(("option", "meaning"), rows)


def _help(text: str) -> str:
    """Write a help text as Markdown, with indented lines as code."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text))
    blocks = []
    for paragraph in paragraphs:
        lines = paragraph.split("\n")
        typed = [line for line in lines if line.startswith("  ")]
        if typed and re.match(r"^\S.*:$|^  ", lines[0]):
            plain = "\n".join(line for line in lines if line not in typed)
            block = "\n".join(line.removeprefix("  ") for line in typed)
            blocks.append(f"{plain}\n\n```text\n{block}\n```".strip())
        else:
            blocks.append(" ".join(line.strip() for line in lines).replace("<", "&lt;"))
    return "\n\n".join(blocks)

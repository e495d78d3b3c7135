"""References of the command line and of the public Python names."""

from __future__ import annotations

import inspect
import re
from collections import defaultdict
from typing import Any

import click

import synth_pools
from codegen.site.schema_tables import cell, table
from synth_pools.cli.listing import iter_commands
from synth_pools.cli.main import root

COMMANDS_PAGE = "reference/commands.md"
PYTHON_PAGE = "reference/python.md"
# Public modules beside the package itself.
# Classes that programs use without naming them.
_MET = (
    "_client._sync.short_names.rollouts.RolloutsNamespace",
    "_client._sync.short_names.agent_rollouts.AgentRolloutsNamespace",
    "_client._sync.namespaces.operations.OperationsNamespace",
    "_client._sync.event_stream.EventStream",
    "_client._sync.fleet.fleet.Fleet",
)
_MODULES = ("local", "pytest_plugin", "types", "spec", "contract", "contract.pytest_plugin")
_ABOUT_COMMANDS = """\
What `synth-pools commands --output json` lists; [the command line](../command-line.md) says how
it is used. Commands that speak with a service have these options as well:"""
_ABOUT_PYTHON = """\
The public names, from their docstrings. The async clients have the methods of the sync ones, to be
awaited; what is iterated over is iterated over with `async for`."""
_WITHOUT_HEADING = "\n    options:\n      show_root_heading: false"
_WITHOUT_MEMBERS = "\n    options:\n      inherited_members: false\n      members: false"


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


def python_page() -> str:
    """Write the page of the public names, from their docstrings."""
    groups: dict[str, list[str]] = defaultdict(list)
    # The sync client first: the others are its variants.
    for name in sorted(synth_pools.__all__, key=lambda name: name != "ContainerPoolsClient"):
        if not name.startswith("__"):
            groups[_group_of(name)].append(name)
    chapters = ["# Python", _ABOUT_PYTHON]
    for title in ("Clients", "Other names", "Errors"):
        chapters.append(f"## {title}")
        for name in groups[title]:
            # Async methods are those of the sync client, awaited.
            few = name.startswith("Async") or _is_alias(name)
            chapters.append(f"::: synth_pools.{name}{_WITHOUT_MEMBERS if few else ''}")
    chapters.append("## What clients return")
    chapters += [f"::: synth_pools.{name}" for name in _MET]
    chapters += [
        f"## synth_pools.{module}\n\n::: synth_pools.{module}{_WITHOUT_HEADING}"
        for module in _MODULES
    ]
    return "\n\n".join(chapters) + "\n"


def _group_of(name: str) -> str:
    if name.endswith("Error"):
        return "Errors"
    return "Clients" if name.endswith("Client") else "Other names"


def _is_alias(name: str) -> bool:
    return getattr(getattr(synth_pools, name), "__name__", name) != name


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

"""Exit status 3: an error of the kit itself, told apart from every verdict."""

from __future__ import annotations

import click
import pytest

from synth_pools.cli.failures import CommandError, KitCommand
from synth_pools.cli.main import WRITTEN, root


def endless(depth: int) -> int:
    return endless(depth + 1)


@pytest.mark.parametrize("name", [name for name in WRITTEN if WRITTEN[name][0].startswith("contr")])
def test_every_command_of_the_kit_tells_its_own_errors_apart(name: str) -> None:
    assert isinstance(root.get_command(click.Context(root), name), KitCommand)


def test_an_error_that_nothing_foresaw_is_no_verdict() -> None:
    command = KitCommand("judge", callback=lambda: endless(0))
    with pytest.raises(
        CommandError, match="no verdict: RecursionError at test_internal_errors.py"
    ) as caught:
        command.main([], standalone_mode=False)
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("end", [CommandError("why"), click.Abort(), BrokenPipeError()])
def test_what_is_foreseen_keeps_its_status(end: BaseException) -> None:
    def fail() -> None:
        raise end

    with pytest.raises(type(end)) as caught:
        KitCommand("judge", callback=fail).main([], standalone_mode=False)
    assert caught.value is end


def test_a_key_in_the_message_of_an_error_is_not_shown() -> None:
    def fail() -> None:
        raise ValueError("sk-secret")

    with pytest.raises(CommandError) as caught:
        KitCommand("judge", callback=fail).main([], standalone_mode=False)
    assert "secret" not in caught.value.message

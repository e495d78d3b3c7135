"""Groups of commands."""

from __future__ import annotations

from typing import Any

import click

from synth_pools.cli.failures import did_you_mean

HELP_NAMES: dict[str, Any] = {"help_option_names": ["-h", "--help"]}


class SuggestingGroup(click.Group):
    """Group that suggests the nearest command for an unknown name."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError:
            if args[0].startswith("-"):
                raise
            hint = did_you_mean(args[0], self.known_names(ctx))
            raise click.UsageError(f"there is no command {args[0][:60]!r}{hint}", ctx) from None

    def known_names(self, context: click.Context) -> list[str]:
        """List the names that a command may be called by."""
        return self.list_commands(context)

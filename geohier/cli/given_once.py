"""Options that are given twice: a command could heed only one, so it says which it is about."""

from collections import Counter
from typing import Any

from typer.core import TyperCommand, TyperOption


class GivenOnce(TyperCommand):
    """A command that refuses an option given twice with a value; a flag may be repeated."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as typer has it
        """Parse what was typed."""
        if not ctx.resilient_parsing:  # else a shell asks how half a line could go on
            self._refuse_twice(ctx, args)
        return super().parse_args(ctx, args)

    def _refuse_twice(self, ctx: Any, args: list[str]) -> None:  # noqa: ANN401 - as typer has it
        _, _, given = self.make_parser(ctx).parse_args(args=[*args])
        for option, times in Counter(given).items():
            single = isinstance(option, TyperOption) and not (option.multiple or option.is_flag)
            if times > 1 and single:
                ctx.fail(f"{max(option.opts, key=len)} is given {times} times: give it once")

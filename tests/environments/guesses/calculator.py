"""Server of a tool, which verifiers starts as a program."""

# mypy: ignore-errors

import verifiers.v1 as vf


class Calculator(vf.Toolset[vf.ToolsetConfig]):
    """Tools that calculate."""

    @vf.tool
    async def add(self, x: int, y: int) -> int:
        """Add two numbers."""
        return x + y


if __name__ == "__main__":
    Calculator.run()

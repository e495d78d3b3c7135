"""Operations of the facade that repeat others: without a pool, or on one of its tasks.

Their methods are those of the class beside them, rewritten by the rules below as text, so that the
documentation is rewritten, too. Names of private methods differ: the client has both classes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.unasync import banner

TARGET = "facade/siblings.py"


@dataclass(frozen=True)
class Sibling:
    """Class of operations that repeat those of another class.

    Attributes:
        name: Name of the class.
        summary: Its docstring.
        module: Module whose only class has the other methods.
        rules: Regular expressions and their replacements, applied in order.
        left_out: Methods that have no counterpart, or one by hand.
    """

    name: str
    summary: str
    module: str
    rules: Sequence[tuple[str, str]]
    left_out: Sequence[str] = ()


TABLE = (
    Sibling(
        name="AsyncGlobalRolloutOperations",
        summary="The operations on single rollouts, and their lists, without naming their pool.",
        module="rollouts",
        rules=(
            (r"\bpool_id: Id,\s*", ""),
            (r" +pool_id: Id of the pool\.\n", ""),
            (r' +pool_id = path_segment\(pool_id, "pool_id"\)\n', ""),
            (r"\b(?:pool_id=)?pool_id, ", ""),
            (r"\n\n +Raises:\n +NotFoundError: There is no such pool.*", ""),
            (r"\ba pool's rollouts\b", "the rollouts of all pools"),
            (r"\b(get|list|iter|cancel|stream)_rollout", r"\1_global_rollout"),
            (r"\b_(path|events_call|summary_call)\b", r"_global_\1"),
            (r"\bapi\.rollouts\b", "api.agent_rollouts"),
            (r"\bis_global=False\b", "is_global=True"),
        ),
        left_out=("create_rollout", "wait_rollout", "_creation"),
    ),
    Sibling(
        name="AsyncTaskContainerOperations",
        summary="The operations of `AsyncContainerOperations`, on the container of a task.",
        module="containers",
        rules=(
            (r"_pool_container_", "_task_container_"),
            (r"\bof a pool\b", "of a task"),
            (r"\bpool_id: Id\b(?! of)", r"\g<0>, task_id: Id"),
            (r"( +)pool_id: Id of the pool\.", r"\g<0>\n\1task_id: Id of the task."),
            (r"\bpool_id=pool_id", "pool_id=pool_id, task_id=task_id"),
        ),
    ),
)


def derive(tree: Path, table: Sequence[Sibling] = TABLE) -> None:
    """Write the module of the derived classes.

    Args:
        tree: The async tree; its facade has the other classes.
        table: The derived classes.
    """
    imports: dict[str, None] = {}
    typing: dict[str, None] = {}
    classes = []
    for sibling in table:
        text = (tree / f"facade/{sibling.module}.py").read_text(encoding="utf-8")
        module = ast.parse(text)
        imports |= dict.fromkeys(_imports(module))
        for node in module.body:
            if isinstance(node, ast.If):
                typing |= dict.fromkeys(_imports(node))
        classes.append(_render(sibling, text, module))
    del imports["from __future__ import annotations"]
    base = "from synth_pools._client._async.facade.base import AsyncOperations"
    head = [
        f'{banner("codegen/siblings.py")}\n"""Operations that repeat others."""\n',
        *("from __future__ import annotations\n", base, *imports),
        *("\nif TYPE_CHECKING:", *(f"    {line}" for line in typing)),
    ]
    (tree / TARGET).write_text("\n".join([*head, *classes]), encoding="utf-8", newline="\n")


def _imports(node: ast.Module | ast.If) -> Iterator[str]:
    for statement in node.body:
        if isinstance(statement, ast.ImportFrom):
            yield ast.unparse(statement)


def _render(sibling: Sibling, text: str, module: ast.Module) -> str:
    [source] = (node for node in module.body if isinstance(node, ast.ClassDef))
    parts = [f'\n\nclass {sibling.name}(AsyncOperations):\n    """{sibling.summary}"""\n']
    for method in source.body:
        if (
            isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
            and method.name not in sibling.left_out
        ):
            body = ast.get_source_segment(text, method, padded=True) or ""
            for pattern, replacement in sibling.rules:
                body = re.sub(pattern, replacement, body)
            parts.append(f"{body}\n")
    return "\n".join(parts)

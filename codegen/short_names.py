"""Short names of operations: ``client.rollouts.create`` for ``client.create_rollout``.

Only the table below is written by hand. The signature, documentation and body of each method come
from the operation in the async facade, so that an editor and `help` show them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from codegen import CodegenError
from codegen.unasync import banner

FACADE = "facade"
TARGET = "short_names"

_PACKAGE = "synth_pools._client._async"
_KEY = "idempotency_key"
_STANDARD_LIBRARY = ("collections.abc", "typing")
_Method = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Namespace:
    """Class of short names, in a module of its own.

    Attributes:
        module: Name of the module.
        name: Name of the class.
        summary: Its docstring.
        bases: Classes that have the methods with logic of their own, each as ``module:Class``.
        names: Operation of each short name, in the order of the class.
        client: Class with the operations, where none of the bases has them; "self" for the class
            itself.
        parameters: Parameters with another name in the short form, by the operation's name.
    """

    module: str
    name: str
    summary: str
    bases: Sequence[str]
    names: Mapping[str, str]
    client: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)


TABLE = (
    Namespace(
        module="pools",
        name="AsyncPools",
        summary="The operations on pools and their events, under their full and short names.",
        bases=("facade.pools:AsyncPoolOperations", "facade.pool_events:AsyncPoolEventOperations"),
        client="self",
        names={
            "create": "create_pool",
            "get_or_create": "get_or_create_pool",
            "list": "list_pools",
            "get": "get_pool",
            "replace": "replace_pool",
            "update": "update_pool",
            "delete": "delete_pool",
            "pause": "pause_pool",
            "resume": "resume_pool",
            "get_urls": "get_pool_urls",
            "events": "stream_pool_events",
            "event_page": "get_pool_event_page",
            "logs": "get_pool_logs",
            "follow_logs": "iter_pool_logs",
        },
    ),
    Namespace(
        module="rollouts",
        name="AsyncRolloutsNamespace",
        summary="``client.rollouts``: the rollouts of one pool.",
        bases=("namespaces.rollouts:AsyncPoolRollouts",),
        names={
            "iter": "iter_rollouts",
            "wait": "wait_rollout",
            "create": "create_rollout",
            "get": "get_rollout",
            "list": "list_rollouts",
            "cancel": "cancel_rollout",
            "artifacts": "get_rollout_artifacts",
            "usage": "get_rollout_usage",
            "summary": "get_rollout_summary",
            "events": "stream_rollout_events",
            "event_page": "get_rollout_event_page",
            "event_pages": "iter_rollout_event_pages",
        },
    ),
    Namespace(
        module="agent_rollouts",
        name="AsyncAgentRolloutsNamespace",
        summary="``client.agent_rollouts``: rollouts without naming their pool.",
        bases=("namespaces.rollouts:AsyncGlobalRollouts",),
        parameters={"artifact_path": "path"},
        names={
            "iter": "iter_global_rollouts",
            "create": "create_global_rollout",
            "validate": "validate_rollout",
            "create_batch": "create_rollout_batch",
            "replay": "replay_rollout",
            "get": "get_global_rollout",
            "list": "list_global_rollouts",
            "cancel": "cancel_global_rollout",
            "artifacts": "get_global_rollout_artifacts",
            "artifact": "get_global_rollout_artifact",
            "artifacts_zip": "get_global_rollout_artifacts_zip",
            "support_bundle": "get_global_rollout_support_bundle",
            "trajectory": "get_global_rollout_trajectory",
            "usage": "get_global_rollout_usage",
            "summary": "get_global_rollout_summary",
            "events": "stream_global_rollout_events",
            "event_page": "get_global_rollout_event_page",
            "event_pages": "iter_global_rollout_event_pages",
        },
    ),
    Namespace(
        module="tasks",
        name="AsyncTasksNamespace",
        summary="``client.tasks``: the tasks of a pool.",
        bases=("facade.base:AsyncNamespace",),
        client="facade.tasks:AsyncTaskOperations",
        names={
            "list": "list_tasks",
            "create": "create_task",
            "update": "update_task",
            "patch": "patch_task",
            "delete": "delete_task",
        },
    ),
    Namespace(
        module="runs",
        name="AsyncRunsNamespace",
        summary="``client.runs``: sums of the rollouts of a name.",
        bases=("facade.base:AsyncNamespace",),
        client="facade.runs:AsyncRunOperations",
        names={"list": "list_runs", "iter": "iter_runs", "get": "get_run", "delete": "delete_run"},
    ),
    Namespace(
        module="metrics",
        name="AsyncMetricsNamespace",
        summary="``client.metrics``: the load of pools.",
        bases=("facade.base:AsyncNamespace",),
        client="facade.pools:AsyncPoolOperations",
        names={"get": "get_pool_metrics"},
    ),
)


@dataclass(frozen=True)
class _Operation:
    """Method of the facade, in the source of its module."""

    method: _Method
    text: str
    imports: Mapping[str, tuple[str, str]]

    @property
    def docstring(self) -> str:
        first = self.method.body[0]
        if not isinstance(first, ast.Expr) or not isinstance(first.value, ast.Constant):
            raise CodegenError(f"{TARGET}: {self.method.name} has no docstring")
        return ast.get_source_segment(self.text, first.value) or ""

    def annotations(self) -> Iterator[str]:
        """Iterate over the names in its signature."""
        for part in (self.method.args, self.method.returns):
            for node in ast.walk(part) if part is not None else ():
                if isinstance(node, ast.Name):
                    yield node.id


def derive(source: Path, output: Path, table: Sequence[Namespace] = TABLE) -> None:
    """Write the modules of `table` to `output`, which must not exist, from the facade of a tree.

    Raises:
        CodegenError: An operation of the table does not exist, or has no docstring.
    """
    operations = _operations(source / FACADE)
    output.mkdir()
    modules = {
        namespace.module: _render(namespace, _chosen(namespace, operations)) for namespace in table
    }
    modules["__init__"] = '"""Short names of operations."""\n'
    for name, text in modules.items():
        head = banner("codegen/short_names.py")
        (output / f"{name}.py").write_text(f"{head}\n{text}", encoding="utf-8", newline="\n")


def _operations(facade: Path) -> dict[str, _Operation]:
    """Read the public methods of the facade, by their names."""
    operations = {}
    for path in sorted(facade.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        module = ast.parse(text)
        imports = {
            alias.asname or alias.name: (node.module or "", alias.name)
            for node in ast.walk(module)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for cls in module.body:
            for member in cls.body if isinstance(cls, ast.ClassDef) else ():
                if isinstance(member, _Method) and not member.name.startswith("_"):
                    operations[member.name] = _Operation(member, text, imports)
    return operations


def _chosen(namespace: Namespace, operations: Mapping[str, _Operation]) -> dict[str, _Operation]:
    missing = sorted(set(namespace.names.values()) - operations.keys())
    if missing:
        raise CodegenError(f"{TARGET}: {namespace.module}: the facade has no {missing[0]}")
    return {short: operations[long] for short, long in namespace.names.items()}


def _render(namespace: Namespace, operations: Mapping[str, _Operation]) -> str:
    """Render a module; the formatter drops the imports that it does not need."""
    places = [place.split(":") for place in (*namespace.bases, namespace.client) if ":" in place]
    runtime = {(f"{_PACKAGE}.{module}", name) for module, name in places}
    typing = {
        operation.imports[name]
        for operation in operations.values()
        for name in operation.annotations()
        if name in operation.imports
    }
    runtime |= {(module, name) for module, name in typing if module in _STANDARD_LIBRARY}
    typing -= runtime
    lines = [f'"""{namespace.summary}"""', "", "from __future__ import annotations", ""]
    runtime.add(("typing", "TYPE_CHECKING"))
    lines += [_import(module, name) for module, name in sorted(runtime)]
    if typing:
        lines += ["", "if TYPE_CHECKING:"]
        lines += [f"    {_import(module, name)}" for module, name in sorted(typing)]
    bases = ", ".join(name for _, name in places[: len(namespace.bases)])
    lines += ["", f"class {namespace.name}({bases}):", f'    """{namespace.summary}"""', ""]
    if ":" in namespace.client:
        lines += [
            f"    def __init__(self, client: {places[-1][1]}) -> None:",
            "        self._client = client",
            "",
        ]
    owner = "self" if namespace.client == "self" else "self._client"
    for short, operation in operations.items():
        lines += [_method(short, operation, owner, namespace.parameters), ""]
    return "\n".join(lines)


def _import(module: str, name: str) -> str:
    return f"from {module} import {name}"


def _method(short: str, operation: _Operation, owner: str, parameters: Mapping[str, str]) -> str:
    """Render the method that passes its arguments on to an operation."""
    method = operation.method
    is_async = isinstance(method, ast.AsyncFunctionDef)
    positional = [argument.arg for argument in method.args.args[1:]]
    keywords = [argument.arg for argument in method.args.kwonlyargs]
    call = [parameters.get(name, name) for name in positional]
    call += [f"{name}={parameters.get(name, name)}" for name in keywords]
    if method.args.kwarg is not None:
        call.append(f"**{method.args.kwarg.arg}")
    target = f"return {'await ' if is_async else ''}{owner}.{method.name}"
    body = [f"{target}({', '.join(call)})"]
    if _KEY in keywords:
        # Subclasses and fakes for the published client take no key.
        without = ", ".join(part for part in call if part != f"{_KEY}={_KEY}")
        body[:0] = [f"if {_KEY} is None:", f"    {target}({without})"]
    signature, docstring = ast.unparse(method.args), operation.docstring
    for name in (*positional, *keywords):
        if name in parameters:
            signature, docstring = (
                re.sub(rf"\b{name}\b", parameters[name], text) for text in (signature, docstring)
            )
    returns = "" if method.returns is None else f" -> {ast.unparse(method.returns)}"
    head = f"{'async ' if is_async else ''}def {short}({signature}){returns}:"
    return "\n        ".join((f"    {head}", docstring, *body))

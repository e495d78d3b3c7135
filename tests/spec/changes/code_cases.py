"""Cases of all changes of error codes, in the enumeration and in the table of the document."""

from __future__ import annotations

from synth_pools.spec.changes.verdicts import RESPONSE
from tests.spec.changes.cases import CS, B, C, Edit, Expected, G, N, Node, schema


def code_row(old: str, new: str) -> Edit:
    """Replace a row in the table of error codes."""

    def change(document: Node) -> None:
        text = document["info"]["description"]
        assert old in text
        document["info"]["description"] = text.replace(old, new)

    return change


def new_code(document: Node) -> None:
    schema("ErrorCode", lambda s: s["enum"].append("gone"))(document)
    code_row("name is taken |\n", "name is taken |\n| `gone` | 410 | no | `make` |\n")(document)


CODE_CASES: dict[str, tuple[Edit, list[Expected]]] = {
    "error code changed": (
        schema("ErrorCode", lambda s: s.update(enum=["not_found", "id_taken"])),
        [
            ("error-code-removed", RESPONSE, B, CS, "ErrorCode"),
            ("error-code-added", RESPONSE, G, (), "ErrorCode"),
        ],
    ),
    "status of an error code changed": (
        code_row("`conflict` | 409", "`conflict` | 422"),
        [("error-code-status-changed", RESPONSE, B, CS, "error code conflict")],
    ),
    "error code no longer worth a repetition": (
        code_row("409 | yes", "409 | while `warming`"),
        [("error-code-retry-weakened", RESPONSE, B, C, "error code conflict")],
    ),
    "error code worth a repetition": (
        code_row("404 | no", "404 | yes"),
        [("error-code-retry-strengthened", RESPONSE, G, (), "error code not_found")],
    ),
    "error code from elsewhere": (
        code_row("the name is taken", "the name is taken or long"),
        [("error-code-described", RESPONSE, N, (), "error code conflict")],
    ),
    "error code added to the table alone": (
        code_row("name is taken |\n", "name is taken |\n| `gone` | 410 | no | `make` |\n"),
        [("error-code-added", RESPONSE, G, (), "error code gone")],
    ),
    "error code added to the table and the enumeration": (
        new_code,
        [("error-code-added", RESPONSE, G, (), "ErrorCode")],
    ),
    "error code removed from the table alone": (
        code_row("| `conflict` | 409 | yes | `make`: the name is taken |\n", ""),
        [("error-code-removed", RESPONSE, B, CS, "error code conflict")],
    ),
}

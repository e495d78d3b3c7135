"""Verdicts on changes of the contract: the weight of each kind, and the side that it breaks.

A change *breaks* clients if a client that keeps the old document sends what the new one
refuses, or receives an answer that the old one ruled out. It breaks servers if a server that
keeps the old document sends an answer that the new one rules out. A change that breaks neither side
and adds something is *growth*: servers learn it before clients use it. New fields and enumerated
values of answers are growth, too: readers keep unknown ones (*Growth* in openapi.yaml).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """Weight of a change, and the step of the version that it needs."""

    NOTE = 0
    GROWTH = 1
    BREAKING = 2

    @property
    def step(self) -> str:
        """The step of a version: patch, minor or major."""
        return ("patch", "minor", "major")[self]


REQUEST = "request"
RESPONSE = "response"
# Direction of a change that concerns the operation itself.
OPERATION = "operation"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Effect of a kind of change.

    Attributes:
        level: Its weight.
        hurts: The sides that break: "clients", "servers", both or none.
        why: The consequence for them, or the advice, in a few words.
    """

    level: Level
    hurts: tuple[str, ...]
    why: str


def _breaks(whom: str, why: str) -> Verdict:
    return Verdict(Level.BREAKING, tuple(whom.split()), why)


def _grows(why: str) -> Verdict:
    return Verdict(Level.GROWTH, (), why)


def _notes(why: str) -> Verdict:
    return Verdict(Level.NOTE, (), why)


_REFUSED = _breaks("clients", "what they send is refused")
_UNKNOWN = _breaks("clients", "they meet in an answer what was ruled out")
_TOO_MUCH = _breaks("servers", "what they answer is ruled out")
_TO_LEARN = _grows("servers have to accept it before clients send it")
_READ_PAST = _grows("readers keep what they do not know")

_NEEDED = {
    REQUEST: _breaks("clients", "requests without it are refused"),
    RESPONSE: _breaks("servers", "they do not send it"),
}
_GONE = {
    REQUEST: _breaks("clients", "what they send has no effect any more"),
    RESPONSE: _breaks("clients", "they read what does not come any more"),
}
_MADE_REQUIRED = {
    REQUEST: _breaks("clients", "requests without it are refused"),
    RESPONSE: _breaks("servers", "they may leave it out"),
}
_MADE_OPTIONAL = {
    REQUEST: _grows("servers have to do without it"),
    RESPONSE: _breaks("clients", "they rely on it"),
}
_WRITTEN = {
    REQUEST: _breaks("clients", "their values are read otherwise"),
    RESPONSE: _breaks("clients servers", "clients read the old form, servers send it"),
}
_TO_READ = {OPERATION: _notes("to be read: no rule judges words")}

# Verdicts by kind and direction.
VERDICTS: Mapping[str, Mapping[str, Verdict]] = {
    "operation-added": {OPERATION: _grows("servers have to offer it before clients call it")},
    "operation-removed": {OPERATION: _breaks("clients", "their calls are 404 or 405")},
    "operation-renamed": {
        OPERATION: _breaks("clients", "the functions of generated clients have other names")
    },
    "operation-moved": {OPERATION: _breaks("clients", "they call the old address")},
    "operation-deprecated": {OPERATION: _grows("clients should stop calling it")},
    "tag-changed": {
        OPERATION: _breaks("clients", "the modules of generated clients have other names")
    },
    "retry-weakened": {
        OPERATION: _breaks("clients", "they repeat requests that may not be repeated any more")
    },
    "retry-strengthened": {
        OPERATION: _breaks("servers", "clients repeat requests that they do twice")
    },
    "operation-made-optional": {OPERATION: _breaks("clients", "a server may answer 501")},
    "operation-made-mandatory": {OPERATION: _breaks("servers", "they may not offer it")},
    "path-parameter-renamed": {OPERATION: _notes("the arguments of generated clients have it")},
    "server-added": {OPERATION: _grows("clients may call it there")},
    "server-removed": {OPERATION: _breaks("clients", "they call it there")},
    "key-demanded": {OPERATION: _breaks("clients", "those that log in as before are refused")},
    "key-no-longer-demanded": {OPERATION: _grows("servers have to answer without a key")},
    "login-added": {OPERATION: _grows("servers have to accept it before clients use it")},
    "scope-raised": {OPERATION: _breaks("clients", "keys with the lower scope are refused")},
    "scope-lowered": {OPERATION: _grows("servers have to accept keys of the lower scope")},
    "webhook-added": {OPERATION: _grows("clients may ignore it")},
    "webhook-removed": {OPERATION: _breaks("clients", "they wait for it")},
    "parameter-added": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "required-parameter-added": _NEEDED,
    "parameter-removed": _GONE,
    "parameter-made-required": _MADE_REQUIRED,
    "parameter-made-optional": _MADE_OPTIONAL,
    "parameter-style-changed": _WRITTEN,
    "parameter-style-loosened": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "body-added": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "body-removed": _GONE,
    "body-made-required": _MADE_REQUIRED,
    "body-made-optional": _MADE_OPTIONAL,
    "encoding-changed": _WRITTEN,
    "media-type-added": {
        REQUEST: _TO_LEARN,
        RESPONSE: _grows("servers may answer it to those that ask for it"),
    },
    "media-type-removed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients read it, servers answer it"),
    },
    "success-added": {
        REQUEST: _TO_LEARN,
        RESPONSE: _breaks("clients", "they take an unknown status for an error"),
    },
    "success-removed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients wait for it, servers answer it"),
    },
    "error-status-added": {REQUEST: _TO_LEARN, RESPONSE: _grows("clients read it by its class")},
    "error-status-removed": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "header-added": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "required-header-added": _NEEDED,
    "header-removed": _GONE,
    "header-made-required": _MADE_REQUIRED,
    "header-made-optional": _MADE_OPTIONAL,
    "field-added": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "required-field-added": _NEEDED,
    "field-removed": _GONE,
    "field-renamed": {
        REQUEST: _breaks("clients", "what they send has no effect any more"),
        RESPONSE: _breaks("clients servers", "clients read the old name, servers send it"),
    },
    "field-made-required": _MADE_REQUIRED,
    "field-made-optional": _MADE_OPTIONAL,
    "made-nullable": {REQUEST: _TO_LEARN, RESPONSE: _breaks("clients", "they meet null")},
    "no-longer-nullable": {
        REQUEST: _breaks("clients", "null is refused"),
        RESPONSE: _breaks("servers", "they may answer null"),
    },
    "type-widened": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "type-narrowed": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "type-changed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients read the old type, servers send it"),
    },
    "enum-value-added": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "enum-value-removed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients wait for it, servers may answer it"),
    },
    "enum-no-longer-open": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "enum-no-longer-closed": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "enum-closed": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "enum-opened": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "error-code-added": {REQUEST: _TO_LEARN, RESPONSE: _grows("clients read it by its status")},
    "error-code-removed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients act on it, servers may answer it"),
    },
    "error-code-status-changed": {
        RESPONSE: _breaks("clients servers", "clients act on the old status, servers answer it")
    },
    "error-code-retry-weakened": {
        RESPONSE: _breaks("clients", "they repeat requests that cannot succeed")
    },
    "error-code-retry-strengthened": {RESPONSE: _grows("clients may repeat the request")},
    "error-code-described": {RESPONSE: _notes("it comes from where it did not, or no longer does")},
    "bound-tightened": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "bound-loosened": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "form-added": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "form-removed": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "form-changed": {
        REQUEST: _REFUSED,
        RESPONSE: _breaks("clients servers", "clients read the old form, servers send it"),
    },
    "object-closed": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "object-opened": {REQUEST: _TO_LEARN, RESPONSE: _READ_PAST},
    "discriminator-added": {
        REQUEST: _breaks("clients", "requests without its value are refused"),
        RESPONSE: _breaks("servers", "they may answer without its value"),
    },
    "discriminator-removed": {
        REQUEST: _grows("servers have to do without it"),
        RESPONSE: _breaks("clients", "they choose by it"),
    },
    "discriminator-changed": _WRITTEN,
    "discriminator-value-added": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "variant-added": {REQUEST: _TO_LEARN, RESPONSE: _UNKNOWN},
    "variant-removed": {REQUEST: _REFUSED, RESPONSE: _TOO_MUCH},
    "constraint-changed": {
        REQUEST: _breaks("clients", "no rule orders the two: judge it by hand"),
        RESPONSE: _breaks("clients servers", "no rule orders the two: judge it by hand"),
    },
    "default-changed": {
        REQUEST: _breaks("clients", "leaving it out means something else"),
        RESPONSE: _notes("a server says what it uses"),
    },
    "default-told": {
        REQUEST: _notes("leaving it out has a meaning that is told now"),
        RESPONSE: _notes("a server says what it uses"),
    },
    "field-deprecated": {
        REQUEST: _grows("clients should stop sending it"),
        RESPONSE: _grows("clients should stop reading it"),
    },
    "schema-renamed": {OPERATION: _notes("the models of generated clients have other names")},
    "name-removed": {
        RESPONSE: _breaks("clients servers", "clients rely on it, servers may still mean it")
    },
    "sentence-added": _TO_READ,
    "sentence-removed": _TO_READ,
    "sentence-changed": _TO_READ,
    "row-added": _TO_READ,
    "row-removed": _TO_READ,
    "row-changed": _TO_READ,
}


@dataclass(frozen=True, slots=True)
class ApiChange:
    """Change from an old document to a new one.

    Attributes:
        kind: A key of `VERDICTS`.
        direction: "request", "response" or "operation".
        place: Place in the document, for example "Pool.capacity" or "query parameter limit".
        text: The change itself, for example "maximum 10000 -> 100".
        operations: The ids of the operations that it concerns, in the order of the document.
        ids: The ids of its sentences, the older first, if it is one of words.
    """

    kind: str
    direction: str
    place: str
    text: str
    operations: tuple[str, ...]
    ids: tuple[str, ...] = ()

    @property
    def identity(self) -> tuple[str, ...]:
        """Its kind, direction, place and text, which distinguish it from other changes."""
        return self.kind, self.direction, self.place, self.text

    @property
    def is_text(self) -> bool:
        """True if words differ, which is for people to judge."""
        return bool(self.ids)

    @property
    def verdict(self) -> Verdict:
        """Effect of its kind in its direction."""
        return VERDICTS[self.kind][self.direction]

    @property
    def level(self) -> Level:
        """The weight of the change."""
        return self.verdict.level


def heaviest_level(changes: tuple[ApiChange, ...]) -> Level:
    """Return the weight of the heaviest change."""
    return max((change.level for change in changes), default=Level.NOTE)


def step_between(old: tuple[int, int, int], new: tuple[int, int, int]) -> Level | None:
    """Return the weight that a step of the version allows; None without a step forward."""
    if new <= old:
        return None
    if new[0] > old[0]:
        return Level.BREAKING
    return Level.GROWTH if new[1] > old[1] else Level.NOTE

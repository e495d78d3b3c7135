"""Secret values: kept out of repr, str, copies, pickles, messages and tracebacks.

An exception keeps alive the frames that it passed through, and frames of an HTTP library hold the
headers of the request in local variables. An error report with local variables would contain the
key. So our exceptions are raised in place of the originals, and exceptions that pass through
unchanged lose their frames first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

# A shorter key may be an ordinary word in a server's answer.
_SHORTEST_REDACTED_KEY = 8
_MASK = "**********"


class Secret:
    """Value hidden from `repr`, `str`, `vars`, copies and pickles.

    A closure holds it instead of an attribute, so that a walk over an object graph does not find
    it. Only `reveal` returns it.
    """

    __slots__ = ("_reveal",)
    _reveal: Callable[[], Any]

    def __init__(self, value: Any) -> None:
        # Accepts anything: the traceback of an exception raised here would contain the plain value.
        # `problem` checks it.
        self._reveal = lambda: value

    @classmethod
    def of(cls, value: Any) -> Secret | None:
        """Wrap ``value``; return None and a `Secret` unchanged."""
        return value if value is None or isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the plain value. Never store it in a variable of a function that may raise."""
        value: str = self._reveal()
        return value

    def stripped(self) -> Secret:
        """Return the same secret without white space around it."""
        return Secret(self.reveal().strip()) if isinstance(self._reveal(), str) else self

    def is_empty(self) -> bool:
        return isinstance(self._reveal(), str) and not self.reveal()

    def problem(self) -> str | None:
        """Explain, without the value, why it cannot be sent in a header; None if it can."""
        if not isinstance(self._reveal(), str):
            return f"must be a string, not {type(self._reveal()).__name__}"
        if not all(" " <= character <= "~" for character in self.reveal()):
            return "must hold only printable ASCII characters"
        return None

    def redact(self, text: str) -> str:
        """Mask the secret in a text."""
        if len(self.reveal()) < _SHORTEST_REDACTED_KEY:
            return text
        return text.replace(self.reveal(), _MASK)

    def redact_bytes(self, data: bytes) -> bytes:
        """Mask the secret in bytes, like `redact`."""
        if len(self.reveal()) < _SHORTEST_REDACTED_KEY:
            return data
        return data.replace(self.reveal().encode(), _MASK.encode())

    def redact_json(self, value: Any) -> Any:
        """Mask the secret in a parsed JSON value, also in names and if its text had escapes.

        Returns:
            The value itself if it does not contain the secret.
        """
        pending, is_present = [value], False
        while pending and not is_present:
            current = pending.pop()
            if isinstance(current, str):
                is_present = self.redact(current) != current
            elif isinstance(current, dict):
                pending += [*current, *current.values()]
            elif isinstance(current, list):
                pending += current
        return self._masked(value) if is_present else value

    def _masked(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.redact(value)
        if isinstance(value, list):
            return [self._masked(item) for item in value]
        if isinstance(value, dict):
            return {self.redact(name): self._masked(item) for name, item in value.items()}
        return value

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # The import takes 1 ms, and most clients compare no keys.
        import hmac

        return hmac.compare_digest(
            str(self._reveal()).encode("utf-8", "surrogatepass"),
            str(other._reveal()).encode("utf-8", "surrogatepass"),
        )

    def __hash__(self) -> int:
        return hash((Secret, self._reveal()))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled: configure a client anew where it is needed")


def strip_tracebacks(error: BaseException) -> BaseException:
    """Remove the tracebacks of ``error`` and of its causes and contexts, and return it."""
    pending: list[BaseException | None] = [error]
    visited: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in visited:
            continue
        visited.add(id(current))
        current.__traceback__ = None
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return error

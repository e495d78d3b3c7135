"""Mutations: which changes are made of a line, and which are left out by a rule."""

from __future__ import annotations

import pytest

from tests.mutants.changes import ROOT
from tests.mutants.mutations import mutants_of


def changes(source: str, lines: set[int] | None = None) -> list[str]:
    text = source.encode()
    return [mutant.describe(text) for mutant in mutants_of(text, lines) if not mutant.rule]


CHANGES = """\
x = a == b: ==  ->  !=
x = a < b <= c: <  ->  <=; <=  ->  <
x = a not in b: not in  ->  in
x = a is None: is  ->  is not
x = a and b and c: and  ->  or; and  ->  or
x = not (a): not (a)  ->  a
x = (a) + (b): +  ->  -
x = True: True  ->  False
x = 0: 0  ->  1
x = token(2, y): 2  ->  3
x = 2 * y: 2  ->  3; *  ->  +
x = y(limit=1): 1  ->  2
x = (1, y, 2, 3, 4): 1  ->  2; 2  ->  3; 3  ->  4; 4  ->  5
if x: y: x  ->  not (x)
x = [y for y in z if y]: y  ->  not (y)
x.y = z: x.y = z  ->  pass
x[y] = z: x[y] = z  ->  pass
x += y: x += y  ->  pass
del x[y]: del x[y]  ->  pass
raise x: raise x  ->  pass
call(x): call(x)  ->  pass
def f(): return x: return x  ->  return None
def f(): return False: False  ->  True
def f(): return 0: 0  ->  1
async def f(): await x: await x  ->  pass
while x: break: x  ->  not (x); break  ->  pass
x = 'größer', y > z: >  ->  >=
"""


@pytest.mark.parametrize("line", CHANGES.splitlines())
def test_each_kind_of_change(line: str) -> None:
    source, _, mutants = line.rpartition(": ")
    assert changes(source) == mutants.split("; ")


LEFT_OUT = """\
'A docstring: 1 == 2.'
x: Literal[True]
def f(x: Literal[1]) -> Literal[2]: ...
if TYPE_CHECKING: call(1)
__all__ = [1]
_log.warning('not %s', x)
x = f'{a == b}'
x = connection.recv(64)
x = 64 * 1024
x = 65536
x = 2**31 - 1
x = 64 * _MIB
_MOST_NAMES = 20
x = len(y) > _LARGE_BYTES
_GRACE_SECONDS = 1
x = zip(y, z, strict=True)
x = (1, 2.5, 5, 10, 50)
x = y(limit=20)
x = {'query': {'limit': 100}}
x = clock.token(16)
x = min(2 * pause, y)
assert x is not None
raise AssertionError
x = clock.monotonic() > y
x = y < self._resume_at
x = y <= _LIVED_SECONDS
x = y.setsockopt(z, w, 1)
"""


@pytest.mark.parametrize("source", LEFT_OUT.splitlines())
def test_what_no_test_has_to_hold_is_left_out(source: str) -> None:
    assert changes(source) == []


def test_only_the_lines_asked_for_are_changed() -> None:
    assert changes("a = 1\nb = 2\nc = 3\n", {2}) == ["2  ->  3"]


def test_a_mutant_differs_from_its_module_and_is_a_program() -> None:
    source = (ROOT / "tests/mutants/mutations.py").read_bytes()
    mutants = mutants_of(source)
    assert len(mutants) > 20
    for mutant in mutants:
        changed = mutant.apply(source)
        assert changed != source
        compile(changed, "mutant", "exec", dont_inherit=True)

"""Names that containers give, as paths that may be created."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from synth_pools.backend.artifacts.safe_paths import safe_paths

LONG = "x" * 300


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("answer.txt", "answer.txt"),
        ("logs/run 1/out.log", "logs/run 1/out.log"),
        (".hidden", ".hidden"),
        ("../../etc/passwd", "etc/passwd"),
        ("a/../../b", "a/b"),
        ("/etc/passwd", "etc/passwd"),
        ("//server/share", "server/share"),
        ("\\\\server\\share\\x", "server/share/x"),
        ("..\\..\\windows\\system.ini", "windows/system.ini"),
        ("C:\\x\\y.txt", "x/y.txt"),
        ("c:y.txt", "y.txt"),
        ("a/./b//c/", "a/b/c"),
        (".", "artifact-1"),
        ("..", "artifact-1"),
        ("../..", "artifact-1"),
        ("...", "artifact-1"),
        (" ", "artifact-1"),
        ("%2e%2e/%2e%2e/x", "_2e_2e/_2e_2e/x"),
        ("..%2fx", ".._2fx"),
        ("%00", "_00"),
        ("a\x00b", "a_b"),
        ("a\nb\r\tc\x7f", "a_b__c_"),
        ("report\u202etxt.exe", "report_txt.exe"),
        ("zero\u200bwidth", "zero_width"),
        ("\ud800.bin", "_.bin"),
        ("stream.txt:hidden", "stream.txt_hidden"),
        ('<>:"|?*', "_______"),
        ("nul", "_nul"),
        ("x/COM1.log", "x/_COM1.log"),
        ("console", "console"),
        ("trailing. . ", "trailing"),
        ("e\u0301.txt", "é.txt"),
        ("日本語/結果.json", "日本語/結果.json"),
        ("😀", "😀"),
        (LONG + ".json", "x" * 115 + ".json"),
        ("é" * 100, "é" * 60),
        ("/".join("abcdefghijklmnopqrstuvwxyz"), "/".join("klmnopqrstuvwxyz")),
        ("~/x", "~/x"),
        ("-rf", "-rf"),
    ],
)
def test_what_becomes_of_a_name(name: str, path: str) -> None:
    assert safe_paths([name]) == [path]


@pytest.mark.parametrize(
    ("names", "paths"),
    [
        (["a", "a", "a"], ["a", "a-2", "a-3"]),
        (["a.tar", "A.TAR"], ["a.tar", "A-2.TAR"]),
        (["x", "../x", "/x", "C:\\x"], ["x", "x-2", "x-3", "x-4"]),
        (["a-2", "a", "a"], ["a-2", "a", "a-3"]),
        (["é", "e\u0301"], ["é", "é-2"]),
        (["STRASSE", "straße"], ["STRASSE", "straße-2"]),
        (["a", "a/b"], ["a", "a_b"]),
        (["a/b", "a"], ["a/b", "a-2"]),
        (["d/x.txt", "d/x.txt"], ["d/x.txt", "d/x-2.txt"]),
        (["", "", "artifact-2"], ["artifact-1", "artifact-2", "artifact-2-2"]),
        ([".env", ".env"], [".env", ".env-2"]),
        ([LONG, LONG], ["x" * 120, "x" * 118 + "-2"]),
    ],
)
def test_no_two_are_the_same(names: list[str], paths: list[str]) -> None:
    assert safe_paths(names) == paths


def test_a_path_loses_the_folders_that_make_it_too_long() -> None:
    a, b, c, d = (letter * 119 for letter in "abcd")
    assert safe_paths([f"{a}/{b}/{c}/{d}d"]) == [f"{a}/{b}/{c}/{d}d"]
    assert safe_paths([f"{a}/{b}/{c}c/{d}d"]) == [f"{b}/{c}c/{d}d"]


def test_whatever_comes_it_can_be_created_and_stays_as_it_is(tmp_path: Path) -> None:
    parts = [*"aAb. /\\:%\x00\n-_~é\u0301\u202e\ud800ß😀cCoOnN12İ", "..", "../", "CON", "x" * 90]
    dice = random.Random(7)
    for number in range(400):
        names = ["".join(dice.choices(parts, k=dice.randint(0, 12))) for _ in range(8)]
        paths = safe_paths(names)
        assert safe_paths(paths) == paths
        folder = tmp_path / str(number)
        for path in paths:
            assert unicodedata.is_normalized("NFC", path)
            assert not {"", ".", ".."} & set(path.split("/"))
            place = folder / path
            assert place.resolve().is_relative_to(folder.resolve())
            place.parent.mkdir(parents=True, exist_ok=True)
            place.open("xb").close()
        assert len({path.casefold() for path in paths}) == len(paths)

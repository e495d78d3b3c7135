"""The benchmark of the backend: it runs, and its table points the right way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bench.backend import __main__, load, measures, page, sharing
from bench.backend.measures import Admission, Pages, Readers, Speed
from bench.backend.sharing import Following, LargePages

ADMISSION = Admission(p50=2.0, p99=8.0, health_p50=0.5, health_p99=1.0)
FOUND = page.Found(
    few=1000,
    many=100_000,
    rounds=7,
    seconds=200.0,
    fill_rate=1000.0,
    memory_mib=(60.0, 66.0),
    nothing=Speed(3000, 1500, 1200, 0.5, 0.8, 0.6),
    slow=Speed(310, 300, 200, 0.97, 0.66, 0.75),
    idle=ADMISSION,
    busy=ADMISSION,
    readers=Readers(1500, 1000, 0.67, 5600, 5.0, 50.0),
    pages=Pages(5.0, 7.0, 1.4),
    followed=Following(0.3, 0.4),
    large=LargePages(2.0, 40.0),
)
DISK = page.Disk("ext4", 0.5, 400 * 1024 * 1000)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_a_small_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (__main__, load, measures):
        monkeypatch.setattr(module, "IN_FLIGHT", 8)
    monkeypatch.setattr(measures, "READERS", 5)
    monkeypatch.setattr(load, "_READERS_SECONDS", 2.0)
    monkeypatch.setattr(measures, "_LAPS", 3)
    monkeypatch.setattr(measures, "_WALK", 50)
    monkeypatch.setattr(sharing, "FOLLOWERS", 5)
    monkeypatch.setattr(sharing, "_EVENTS", 20)
    monkeypatch.setattr(sharing, "_ROLLOUTS", 2)
    found, disk = __main__.run(tmp_path, 60, 200, 1)
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"
    for speed in (found.nothing, found.slow):
        assert min(speed.direct, speed.few, speed.many) > 0
        assert speed.few_to_direct == pytest.approx(speed.few / speed.direct)
    assert found.readers.events == 2 * 5 * 14
    assert disk.bytes > 200 * 1000
    assert "missed" in page.text(replace(found, pages=Pages(1.0, 2.0, 2.0)), disk)


def test_the_table() -> None:
    lines = page.text(FOUND, DISK).splitlines()
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines if line[:1] == "|"
    ]
    rows = {row[0]: row[1:] for row in cells}
    alone = "the container alone: 3,000/s"
    assert rows["rollouts that do nothing, 1,000 stored"] == ["1,500/s", alone, "0.50", "≥ 0.3"]
    ratio, promised = rows["rollouts that do nothing, 100,000 stored"][2:]
    assert (ratio, promised) == ("takes 1.25", "≤ 1.3")
    ratio, promised = rows["rollouts of 200 ms, 100,000 stored"][2:]
    assert (ratio, promised) == ("takes 1.52", "≤ 1.3: missed")
    assert rows["page of 100 at the end of 100,000"][3] == "≤ 1.3: missed"
    for what, taken in (("does nothing", "0.60 ms"), ("takes 200 ms", "0.75 ms")):
        assert rows[f"the backend's processor time for one that {what}"][0] == taken
    assert rows["admission, nothing else, p99"][:3] == [
        "8.00 ms",
        "GET /health: 1.00 ms",
        "takes 8.0",
    ]
    document = page.document("the result")
    assert "the result" in document
    assert "{" not in document.replace("{id}", "")


def test_a_percentile_is_one_of_the_values() -> None:
    values = [float(number) for number in range(1, 101)]
    assert measures.percentile(values, 99) == 99.0
    assert measures.percentile([3.0], 99) == 3.0
    assert measures.percentile([2.0, 1.0], 50) == 1.0

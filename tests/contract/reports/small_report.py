"""Small report with every kind of line, which tests compare to the letter."""

from __future__ import annotations

from synth_pools.contract.results import (
    CheckOutcome,
    Clause,
    ClauseLine,
    Column,
    Departure,
    Exchange,
    Layer,
    Outcome,
    Report,
)

_URL = "http://127.0.0.1:8080/v1/pools"
# Seven checks skipped for one reason, and one check skipped for as many operations.
_SEVEN = tuple(f"op_{number}" for number in range(7))


def _departure(check: str, **changed: object) -> Departure:
    fields: dict[str, object] = {
        "operation": "get_pool",
        "clause": Clause("Pools", "a pool has a name"),
        "expected": "a name",
        "got": "no name",
        "exchange": Exchange(
            "GET",
            f"{_URL}/p",
            status=200,
            response_headers=(("content-type", "application/json"),),
            response_body=b'{"id": "p"}',
        ),
        "layer": Layer.SCENARIO,
        "column": Column.SCHEMA,
        "before": (Exchange("GET", _URL), Exchange("GET", _URL), Exchange("POST", _URL)),
        "cause": check,
        **changed,
    }
    return Departure(check=check, **fields)  # type: ignore[arg-type]


def _outcome(
    check: str,
    operation: str,
    outcome: Outcome,
    note: str = "",
    column: Column = Column.BEHAVIOUR,
    departures: tuple[Departure, ...] = (),
    layer: Layer = Layer.SCENARIO,
) -> CheckOutcome:
    return CheckOutcome(check, operation, column, outcome, layer, note, departures)


def small_report() -> Report:
    misnamed = _departure("pools.name")
    silent = _departure(
        "pools.answer",
        got="nothing\ufffe",
        expected="an answer",
        exchange=Exchange("GET", _URL, trouble="no answer within 30 s"),
        before=(),
        cause="",
        times=3,
    )
    bare = _departure("pools.late", got="it", exchange=None, before=(), operation="list_pools")
    return Report(
        url="http://127.0.0.1:8080",
        seed=7,
        profile="quick",
        run_id="0123abcd",
        started_at="2026-11-25T12:00:00+00:00",
        duration=12.5,
        operations=("get_pool", "list_pools", "stop"),
        routes={"get_pool": "GET /v1/pools/{pool_id}", "list_pools": "GET /v1/pools"},
        documented={"get_pool": ("200", "404", "5XX"), "list_pools": ("200", "404")},
        outcomes=(
            _outcome("z.last", "get_pool", Outcome.HELD, column=Column.STATUS),
            _outcome("pools.name", "get_pool", Outcome.DEPARTED, departures=(misnamed, misnamed)),
            _outcome("pools.answer", "get_pool", Outcome.DEPARTED, departures=(silent,)),
            _outcome("pools.late", "list_pools", Outcome.DEPARTED, departures=(bare,)),
            _outcome("pools.bare", "list_pools", Outcome.DEPARTED, "it was seen\ufffe"),
            _outcome("pools.known", "list_pools", Outcome.KNOWN, column=Column.ERRORS),
            _outcome("a.first", "get_pool", Outcome.HELD, layer=Layer.SCHEMA),
            _outcome("x.key", "", Outcome.HELD, column=Column.AUTH),
            _outcome("x.off", "", Outcome.NOT_OFFERED),
            _outcome("x.why", "stop", Outcome.NOT_OFFERED, "the server says 501"),
            *(_outcome(f"c.{name}", "stop", Outcome.NOT_REACHED, "no time") for name in _SEVEN),
            *(_outcome("c.all", name, Outcome.NOT_REACHED, "too slow") for name in _SEVEN),
            *(
                _outcome(f"n.{name}", "stop", Outcome.NOT_REACHED, "needs stop")
                for name in _SEVEN[:4]
            ),
            _outcome("n.one", "get_pool", Outcome.NOT_REACHED, "needs start"),
            _outcome("n.one", "list_pools", Outcome.NOT_REACHED, "needs start"),
        ),
        reached={
            ("get_pool", 200): 2,
            ("get_pool", 500): 1,
            ("get_pool", 503): 2,
            ("get_pool", 418): 1,
            ("list_pools", 200): 1,
        },
        requests=4_321,
        obstacles=("no pool can be made",),
        notes=("2 pools are left over",),
        read_only=True,
        seconds={"pools.name": 1.25},
        lines={"Pools": 310},
        clauses={"pools.name": (ClauseLine("c_1", 12, "A pool has a name."),)},
        absent=("start", "stop"),
    )

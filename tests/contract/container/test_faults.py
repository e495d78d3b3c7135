"""Every planted fault of a container is seen, by the check that is for it."""

from __future__ import annotations

import pytest

from synth_pools.contract.container.level import container_scenarios
from synth_pools.contract.container.run import run_container_test
from tests.contract.container.line_faults import FAULTS
from tests.contract.container.right_container import KEY, right_container

# Half a minute: the clients of the kit send and read slowly.
LONGEST = "slow_clients_hold_up_others"


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.system] * (name == LONGEST)) for name in FAULTS]
)
def test_a_fault_is_seen_and_named(name: str) -> None:
    fault = FAULTS[name]
    key = KEY if fault.check == "protocol.key" else None
    # The kit is as patient as its first rollout is long: answers may take long under load.
    seconds = 0.3 if fault.check.startswith("load.") else 0.03
    with right_container(fault.act, key=key, one_at_a_time=fault.one_at_a_time) as url:
        report = run_container_test(
            url,
            api_key=key,
            only=(fault.check,),
            rollout_request={"env": {"seconds": seconds}},
            slow_request={"env": {"seconds": 60}},
            patience=1.0,
        )
    assert report.exit_code == 1, report.summary
    checks = {departure.check for departure in report.departures}
    assert any(check == fault.check or check.startswith("schema.") for check in checks), checks
    for group in report.groups:
        assert report.clauses[group.first.group], f"{group.first.check} names no sentence"


def test_at_least_thirty_are_planted_and_one_for_each_check() -> None:
    assert len(FAULTS) >= 30
    assert {fault.check for fault in FAULTS.values()} == {
        scenario.id for scenario in container_scenarios()
    }

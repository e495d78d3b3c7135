"""Sample of `make contract-selftest`: a fault of each kind, one seed.

Each is tried with a part of the kit only, so that all tests together stay quick.
"""

from __future__ import annotations

import pytest

from tests.contract.selftest.runs import try_fault, try_in_parts


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "name",
    [
        "create_pool_answers_200",
        "usage_is_of_another",
        "wrong_key_reads_rollouts",
        "idempotency_key_ignored",
        "rollouts_by_offset",
        "cancel_only_says_so",
        "patch_replaces_pools",
        "terminal_event_early",
    ],
)
def test_fault_is_caught_and_named(name: str) -> None:
    caught = try_in_parts(name, seed=1, profile="quick")
    assert caught.exit_code == 1, caught.summary
    assert caught.checks, f"only {', '.join(caught.operations)} are named"
    assert caught.unexplained == ()


@pytest.mark.system
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("validate_creates", "validate"),
        ("batch_swallows_errors", "batch"),
        ("replay_answers_the_original", "replay"),
        ("paused_pool_admits", "pause"),
        ("etag_of_another", "downloads"),
        ("pool_program_made_up", "containers"),
        ("echo_for_a_target", "outcomes.no_container"),
    ],
)
def test_fault_of_a_later_operation_is_caught_by_its_subject(name: str, subject: str) -> None:
    caught = try_fault(name, seed=1, profile="quick", only=(subject,))
    assert caught.exit_code == 1, caught.summary
    # A rule that holds for several operations sees some of them, too.
    assert any(check.startswith(subject) for check in caught.checks)
    assert all(check.startswith((subject, "agree.", "asked.", "facts.")) for check in caught.checks)
    assert caught.unexplained == ()

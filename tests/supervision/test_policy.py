"""The restart tables, over their whole product."""

import itertools

import pytest

from trunkline.supervision import KILLED, NOPROC, NORMAL, SHUTDOWN, Shutdown
from trunkline.supervision.policy import RESTART_TYPES, STRATEGIES, Verdict, affected, after_exit, is_reported

CLEAN = [NORMAL, SHUTDOWN, Shutdown("x")]
UNCLEAN = [KILLED, NOPROC, ValueError("x"), SystemExit(1)]
EXPECTED = {
    ("permanent", True): (Verdict.RESTART, True),
    ("permanent", False): (Verdict.RESTART, True),
    ("transient", True): (Verdict.STOP, False),
    ("transient", False): (Verdict.RESTART, True),
    ("temporary", True): (Verdict.REMOVE, False),
    ("temporary", False): (Verdict.REMOVE, True),
}


@pytest.mark.parametrize(("restart", "reason"), [*itertools.product(RESTART_TYPES, CLEAN + UNCLEAN)])
def test_what_becomes_of_a_child_is_otps_table(restart, reason):
    verdict, reported = EXPECTED[restart, reason in CLEAN]
    assert after_exit(restart, reason) is verdict
    assert is_reported(restart, reason) is reported


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("ended", ["a", "b", "c"])
def test_one_for_one_affects_the_ended_child_only(strategy, ended):
    assert affected(strategy, ["a", "b", "c"], ended) == [ended]

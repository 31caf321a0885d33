"""Which tool calls start now."""

import pickle

import pytest

from trunkline.actors.tool_runner import ParallelToolRunner, SerialToolRunner

CALLS = ("c1", "c2", "c3", "c4", "c5", "c6")


@pytest.mark.parametrize("waiting", [CALLS[:n] for n in range(len(CALLS) + 1)], ids=len)
@pytest.mark.parametrize("running", range(7))
@pytest.mark.parametrize("room", [1, 2, 4, 10])
def test_a_parallel_runner_fills_the_room_there_is_in_the_models_order(waiting, running, room):
    admitted = ParallelToolRunner(room).admit(waiting, running)
    assert list(admitted) == list(waiting)[: len(admitted)]
    assert len(admitted) == min(len(waiting), max(0, room - running))


@pytest.mark.parametrize("waiting", [CALLS[:n] for n in range(3)], ids=len)
@pytest.mark.parametrize("running", range(3))
def test_a_serial_runner_runs_one_at_a_time(waiting, running):
    assert list(SerialToolRunner().admit(waiting, running)) == ([] if running else list(waiting[:1]))


def test_four_run_at_once_by_default():
    assert ParallelToolRunner().max_concurrency == 4


@pytest.mark.parametrize("bad", [0, -1, 1.5, "4", None, True])
def test_a_concurrency_below_one_is_refused_when_the_runner_is_built(bad):
    with pytest.raises(ValueError, match="max_concurrency"):
        ParallelToolRunner(bad)


@pytest.mark.parametrize("runner", [ParallelToolRunner(3), SerialToolRunner()], ids=repr)
def test_runners_are_values(runner):
    assert pickle.loads(pickle.dumps(runner)) == runner
    assert hash(runner) == hash(pickle.loads(pickle.dumps(runner)))
    assert runner != ParallelToolRunner(7)


@pytest.mark.parametrize("runner", [ParallelToolRunner(2), SerialToolRunner()], ids=repr)
def test_a_list_is_taken_too_and_left_alone(runner):
    waiting = ["c1", "c2", "c3"]
    assert runner.admit(waiting, 0)[0] == "c1"
    assert waiting == ["c1", "c2", "c3"]

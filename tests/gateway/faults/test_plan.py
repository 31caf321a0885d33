"""Schedules and plans: when a fault fires, that this is reproducible, and what is refused when it is built."""

import itertools
import pickle
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway import OpenAIGateway, faults
from trunkline.gateway.faults import (
    ActiveResponseRace,
    Close,
    CutFrame,
    DoneTwice,
    Duplicate,
    FaultNeverFired,
    FaultPlan,
    FaultProxy,
    FaultyGateway,
    FaultyTransport,
    Garbage,
    HalfOpen,
    HttpStatus,
    ImpossibleFault,
    Injection,
    InvalidSchedule,
    Lose,
    MissingField,
    NotJson,
    RateLimit,
    Refuse,
    Reorder,
    Reset,
    SilentUpgrade,
    SlowReader,
    Stall,
)
from trunkline.gateway.simulator import Simulator

TYPES = ["response.created", "response.done", "response.output_text.delta", "error", None]
FRAMES = st.lists(
    st.tuples(st.sampled_from(["received", "sent"]), st.sampled_from([*TYPES, "response.create"])),
    max_size=40,
)
SEEDS = st.integers(0, 2**64)
LINE_FAULTS = st.sampled_from(
    [Reset(), HalfOpen(), Lose(), Duplicate(), Reorder(), Stall(2.0), Close(1011, "x")]
)


def said_again(value):
    return eval(repr(value), vars(faults))  # noqa: S307 - our own repr, which is the point


@st.composite
def injections(draw):
    fault = draw(LINE_FAULTS)
    direction = draw(st.sampled_from(["received", "sent"]))
    injection = draw(
        st.sampled_from(
            [
                fault.at_frame(draw(st.integers(1, 20)), direction),
                fault.every(draw(st.integers(1, 10)), direction),
                fault.with_probability(draw(st.floats(0.05, 1)), direction),
                fault.on(
                    draw(st.sampled_from(["response.done", "response.create"])), draw(st.integers(1, 4))
                ),
                fault.after(draw(st.floats(0, 50))),
            ]
        )
    )
    how = draw(st.sampled_from(["as it is", "times", "every connection", "on connection"]))
    if how == "times":
        return injection.times(draw(st.integers(1, 5)))
    if how == "every connection":
        return injection.on_every_connection()
    if how == "on connection":
        return injection.on_connection(draw(st.integers(1, 3)))
    return injection


def run(plan, frames, n_connections=1):
    """Return what fired, as (connection, frame, faults), one connection after the other; a frame per second."""
    fired = []
    for _ in range(n_connections):
        connection = plan.for_connection(now=100.0)
        for at, (direction, event_type) in enumerate(frames):
            for fault in connection.frame(direction, event_type, 100.0 + at):
                fired.append((connection.number, at, fault))
    return fired


# -- laws


@settings(deadline=None)
@given(st.lists(injections(), max_size=4), SEEDS, FRAMES)
def test_the_same_seed_and_the_same_frames_give_the_same_faults(parts, seed, frames):
    assert run(FaultPlan(*parts, seed=seed), frames, 3) == run(FaultPlan(*parts, seed=seed), frames, 3)


@settings(deadline=None)
@given(st.integers(1, 12), st.integers(0, 60), st.sampled_from(["received", "sent"]))
def test_every_n_fires_once_per_n_frames_of_its_direction(n, total, direction):
    other = {"received": "sent", "sent": "received"}[direction]
    frames = [pair for _ in range(total) for pair in ((direction, None), (other, None))]
    fired = run(FaultPlan(Lose().every(n, direction)), frames)
    assert len(fired) == total // n
    assert [at // 2 + 1 for _, at, _ in fired] == list(range(n, total + 1, n))


@settings(deadline=None)
@given(
    st.lists(injections(), max_size=4, unique_by=lambda one: repr((one.fault, one.schedule))), SEEDS, FRAMES
)
def test_a_plan_fires_what_its_parts_would_fire_alone(parts, seed, frames):
    together = run(FaultPlan(*parts, seed=seed), frames, 2)
    alone = [run(FaultPlan(part, seed=seed), frames, 2) for part in parts]
    assert sorted(together, key=repr) == sorted(itertools.chain(*alone), key=repr)


@settings(deadline=None)
@given(injections(), SEEDS)
def test_injections_and_plans_survive_pickle_and_repr(injection, seed):
    plan = FaultPlan(injection, Refuse().at_connection(2), seed=seed)
    assert pickle.loads(pickle.dumps(injection)) == injection
    assert said_again(injection) == injection
    assert pickle.loads(pickle.dumps(plan)) == plan
    assert said_again(plan) == plan
    assert hash(plan) == hash(said_again(plan))


@settings(deadline=None)
@given(injections(), SEEDS, FRAMES)
def test_a_bound_holds_over_all_connections(injection, seed, frames):
    fired = run(FaultPlan(injection.times(2), seed=seed), frames, 4)
    unbound = run(FaultPlan(injection.on_every_connection(), seed=seed), frames, 4)
    assert fired == unbound[:2]


@settings(deadline=None)
@given(st.floats(0.1, 0.9), SEEDS)
def test_a_probability_is_kept_roughly_and_differs_between_connections(p, seed):
    fired = run(FaultPlan(Lose().with_probability(p), seed=seed), [("received", None)] * 400, 2)
    assert abs(len(fired) / 800 - p) < 0.15
    first, second = ([at for number, at, _ in fired if number == which] for which in (1, 2))
    assert first != second


def test_two_injections_that_are_the_same_have_dice_of_their_own():
    fired = [sum(1 for _ in plan.fired) for plan in _rolled(Lose().with_probability(0.5), n=64)]
    assert any(count % 2 for count in fired), "they fire together or not at all"


def _rolled(injection, n):
    for seed in range(n):
        plan = FaultPlan(injection, injection, seed=seed)
        plan.for_connection().frame("received", None, 0.0)
        yield plan


def test_connections_count_on_from_the_highest_number_that_was_named():
    plan = FaultPlan()
    plan.for_connection(5)
    plan.for_connection(3)
    assert plan.for_connection().number == 6


def test_each_nth_connection_may_be_restricted_to_some_of_those():
    plan = FaultPlan(Refuse().every(3).on_connection(2, 6))
    assert [bool(plan.for_connection().connect()) for _ in range(9)] == [False] * 5 + [True] + [False] * 3


def test_a_certain_fault_fires_at_each_frame():
    assert len(run(FaultPlan(Lose().with_probability(1)), [("received", None)] * 9)) == 9


# -- when


def test_at_frame_counts_each_connection_by_itself_and_fires_once_per_plan():
    frames = [("received", None)] * 4
    assert run(FaultPlan(Reset().at_frame(3)), frames, 3) == [(1, 2, Reset())]
    assert run(FaultPlan(Reset().at_frame(3).on_every_connection()), frames, 2) == [
        (1, 2, Reset()),
        (2, 2, Reset()),
    ]
    assert run(FaultPlan(Reset().at_frame(3).on_connection(2)), frames, 3) == [(2, 2, Reset())]


def test_on_an_event_fires_at_the_nth_of_that_type_whatever_else_passes():
    frames = [
        ("received", kind) for kind in ["error", "response.done", None, "response.done", "response.done"]
    ]
    assert run(FaultPlan(Lose().on("response.done", nth=2)), frames) == [(1, 3, Lose())]


def test_a_fault_of_one_event_type_counts_only_frames_of_that_type():
    frames = [("received", kind) for kind in ["response.created", "response.done", "error", "response.done"]]
    assert run(FaultPlan(DoneTwice().at_frame(2)), frames) == [(1, 3, DoneTwice())]
    assert run(FaultPlan(RateLimit().every(1)), frames) == [(1, 1, RateLimit()), (1, 3, RateLimit())]


def test_after_waits_for_a_frame_only_if_the_fault_needs_one():
    connection = FaultPlan(Reset().after(2.0), Lose().after(1.0)).for_connection(now=10.0)
    assert connection.next_due() == 12.0
    assert connection.due(11.9) == ()
    assert connection.due(12.0) == (Reset(),)
    assert connection.due(13.0) == ()
    assert connection.next_due() is None
    assert connection.frame("received", None, 13.0) == (Lose(),)
    assert connection.frame("received", None, 14.0) == ()


def test_after_acts_at_a_frame_if_that_comes_first():
    connection = FaultPlan(Reset().after(2.0)).for_connection(now=10.0)
    assert connection.frame("received", None, 11.0) == ()
    assert connection.frame("sent", None, 12.5) == (Reset(),)
    assert connection.next_due() is None
    assert connection.due(13.0) == ()


def test_after_of_a_fault_of_one_event_type_waits_for_that_type():
    connection = FaultPlan(RateLimit().after(1.0)).for_connection(now=0.0)
    assert connection.frame("received", "response.done", 0.5) == ()
    assert connection.frame("received", "response.created", 1.0) == ()
    assert connection.frame("received", "response.done", 1.5) == (RateLimit(),)


def test_after_fires_once_per_connection_however_often_it_may():
    plan = FaultPlan(Lose().after(1.0).on_every_connection(), Reset().after(1.0).times(4))
    for _ in range(2):
        connection = plan.for_connection(now=0.0)
        assert connection.frame("received", None, 1.0) == (Lose(), Reset())
        assert connection.frame("received", None, 2.0) == ()
        assert connection.due(3.0) == ()


def test_a_spent_bound_leaves_nothing_to_wait_for():
    plan = FaultPlan(Reset().after(2.0))
    first, second = plan.for_connection(now=0.0), plan.for_connection(now=0.0)
    assert first.due(2.0) == (Reset(),)
    assert second.next_due() is None
    assert second.due(3.0) == ()


def test_faults_of_the_connecting_fire_by_the_number_of_the_connection():
    plan = FaultPlan(Refuse().at_connection(1), HttpStatus(503).every(2), SilentUpgrade().at_connection(4))
    assert [plan.for_connection().connect() for _ in range(4)] == [
        (Refuse(),),
        (HttpStatus(503),),
        (),
        (HttpStatus(503), SilentUpgrade()),
    ]


def test_a_fault_of_the_connecting_does_not_count_frames():
    connection = FaultPlan(Refuse().every(1)).for_connection()
    assert connection.frame("received", None, 0.0) == ()
    assert connection.connect() == (Refuse(),)


@settings(deadline=None)
@given(SEEDS)
def test_whom_a_probable_refusal_meets_does_not_depend_on_the_order_of_the_connections(seed):
    plan, other = (FaultPlan(Refuse().with_probability(0.5), seed=seed) for _ in range(2))
    forward = {n: plan.for_connection(n).connect() for n in range(1, 12)}
    backward = {n: other.for_connection(n).connect() for n in range(11, 0, -1)}
    assert forward == backward


# -- the record


def test_what_fired_is_recorded_with_connection_frame_and_type():
    plan = FaultPlan(Lose().on("response.done"), Refuse().at_connection(1))
    connection = plan.for_connection()
    connection.connect()
    connection.frame("sent", "response.create", 0.0)
    connection.frame("received", "response.created", 0.0)
    connection.frame("received", "response.done", 0.0)
    refused, lost = plan.fired
    assert (refused.fault, refused.connection, refused.direction, refused.frame) == (Refuse(), 1, None, 0)
    assert (lost.direction, lost.frame, lost.event_type) == ("received", 2, "response.done")
    assert str(lost) == "Lose() on connection 1 at received frame 2 (response.done)"
    plan.verify()
    assert plan.unfired() == ()


def test_a_fault_that_never_fired_fails_with_its_name_the_seed_and_what_was_seen():
    plan = FaultPlan(Reset().at_frame(30), Lose().at_frame(1), seed=77)
    connection = plan.for_connection()
    connection.frame("received", None, 0.0)
    connection.frame("sent", None, 0.0)
    with pytest.raises(FaultNeverFired) as failure:
        plan.verify()
    assert failure.value.names == ("Reset().at_frame(30)",)
    assert failure.value.seed == 77
    for words in ("Reset().at_frame(30)", "seed=77", "1 connection", "1 received and 1 sent"):
        assert words in str(failure.value)
    assert isinstance(failure.value, AssertionError)
    assert str(pickle.loads(pickle.dumps(failure.value))) == str(failure.value)


def test_a_fault_that_found_nothing_to_act_on_has_not_fired():
    plan = FaultPlan(MissingField("response.nothing").at_frame(1))
    connection = plan.for_connection()
    (fault,) = connection.frame("received", "response.done", 0.0)
    connection.in_vain(fault)
    assert plan.fired == ()
    with pytest.raises(FaultNeverFired, match="found nothing to act on"):
        plan.verify()


@pytest.mark.parametrize(
    "injection", [MissingField("item").every(1).times(1), MissingField("item").after(1.0)], ids=repr
)
def test_a_fault_that_found_nothing_to_act_on_waits_for_the_next_frame(injection):
    plan = FaultPlan(injection)
    connection = plan.for_connection()
    for _ in range(2):
        (fault,) = connection.frame("received", "session.updated", 1.0)
        connection.in_vain(fault)
    assert connection.frame("received", "conversation.item.added", 1.0) == (MissingField("item"),)
    assert connection.frame("received", "conversation.item.added", 1.0) == ()
    plan.verify()


def test_a_copy_has_fired_nothing():
    plan = FaultPlan(Lose().at_frame(1))
    plan.for_connection().frame("received", None, 0.0)
    assert pickle.loads(pickle.dumps(plan)).fired == ()
    assert plan.fired


def test_the_seed_is_drawn_shown_and_repeats_the_run():
    plan = FaultPlan(Lose().with_probability(0.5))
    frames = [("received", None)] * 64
    assert FaultPlan().seed != FaultPlan().seed
    assert f"seed={plan.seed}" in repr(plan)
    assert str(plan.seed) in plan.describe()
    assert run(said_again(plan), frames) == run(plan, frames)


def test_what_is_random_inside_a_fault_is_reproducible_and_differs_between_connections():
    def draw(number):
        return FaultPlan(seed=5).for_connection(number).random.randbytes(8)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_many_threads_may_use_one_plan():
    plan = FaultPlan(Lose().every(2), Reset().with_probability(0.5).times(7))
    barrier = threading.Barrier(8)

    def use():
        connection = plan.for_connection()
        barrier.wait(10)
        for _ in range(100):
            connection.frame("received", None, 0.0)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(firing.fault == Lose() for firing in plan.fired) == 8 * 50
    assert sum(firing.fault == Reset() for firing in plan.fired) == 7
    assert sorted({firing.connection for firing in plan.fired}) == list(range(1, 9))


# -- what is refused


@pytest.mark.parametrize(
    ("build", "field", "says"),
    [
        (lambda: Reset().at_frame(0), "at_frame", "1 or more"),
        (lambda: Reset().at_frame(1.0), "at_frame", "1 or more"),
        (lambda: Reset().at_frame(True), "at_frame", "1 or more"),
        (lambda: Reset().every(0), "every", "1 or more"),
        (lambda: Reset().on("response.done", 0), "nth", "1 or more"),
        (lambda: Reset().after(-1), "after", "0 or more"),
        (lambda: Reset().after(float("nan")), "after", "0 or more"),
        (lambda: Reset().after("soon"), "after", "0 or more"),
        (lambda: Reset().with_probability("0.5"), "with_probability", "above 0"),
        (lambda: Reset().on(3), "on", "one of"),
        (lambda: Reset().on(["session.created"]), "on", "session.created"),
        (lambda: Reset().with_probability(1.5), "with_probability", "at most 1"),
        (lambda: Reset().with_probability(0), "with_probability", "above 0"),
        (lambda: Reset().with_probability(float("nan")), "with_probability", "above 0"),
        (lambda: Reset().at_frame(1).times(0), "times", "1 or more"),
        (lambda: Reset().at_frame(1).on_connection(), "on_connection", "at least one"),
        (lambda: Reset().at_frame(1).on_connection(0), "on_connection", "1 or more"),
        (lambda: Refuse().at_connection(1).on_connection(2), "on_connection", "at_connection alone"),
        (lambda: Refuse().every(3).on_connection(1, 2), "on_connection", "a multiple of 3"),
        (lambda: Refuse().at_connection(0), "at_connection", "1 or more"),
        (lambda: Reset().at_connection(1), "schedule", "at_frame(1).on_connection(n)"),
        (lambda: Refuse().at_frame(1), "schedule", "while connecting"),
        (lambda: HttpStatus(429).on("error"), "schedule", "while connecting"),
        (lambda: SilentUpgrade().after(1), "schedule", "while connecting"),
        (lambda: Garbage().at_frame(1, "sent"), "direction", "received"),
        (lambda: SlowReader(1).at_frame(1, "received"), "direction", "sent"),
        (lambda: Reset().at_frame(1, "recieved"), "direction", "did you mean 'received'"),
        (lambda: Reset().on("response.creatd"), "on", "did you mean 'response.created'"),
        (lambda: NotJson().on("response.create"), "on", "received"),
        (lambda: ActiveResponseRace().on("response.created"), "on", "response.create"),
        (lambda: DoneTwice().on("response.created"), "on", "response.done"),
        (lambda: FaultPlan(Reset()), "injections", "at_frame"),
        (lambda: FaultPlan("reset"), "injections", "at_frame"),
        (lambda: FaultPlan(seed="x"), "seed", "whole number"),
    ],
)
def test_a_schedule_that_cannot_be_met_is_refused_when_it_is_built(build, field, says):
    with pytest.raises(InvalidSchedule) as refused:
        build()
    assert refused.value.field == field
    assert says in refused.value.allowed
    assert isinstance(refused.value, ValueError)
    assert str(pickle.loads(pickle.dumps(refused.value))) == str(refused.value)


def test_a_type_of_a_provider_s_own_is_taken_when_that_is_said():
    injection = Lose().on("response.karaoke", any_type=True)
    assert said_again(injection) == injection
    assert run(FaultPlan(injection), [("received", "response.karaoke")]) == [(1, 0, Lose())]


def test_beta_names_are_known():
    assert isinstance(Lose().on("response.text.delta"), Injection)


@pytest.mark.parametrize(
    "build",
    [
        lambda plan: FaultProxy("ws://127.0.0.1:1/", plan),
        lambda plan: FaultyGateway(OpenAIGateway("k"), plan),
        lambda plan: FaultyTransport(None, plan),
        lambda plan: Simulator(faults=plan),
    ],
)
@pytest.mark.parametrize("plan", [Reset().at_frame(1), [Reset().at_frame(1)], Reset])
def test_what_is_no_plan_is_refused_at_every_seam(build, plan):
    with pytest.raises(ImpossibleFault, match="a FaultPlan, such as"):
        build(plan)


def test_a_fault_at_a_seam_it_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(ImpossibleFault, match="proxy or simulator") as refused:
        FaultPlan(Lose().at_frame(1), CutFrame().at_frame(1)).check("transport")
    assert refused.value.field == "seam"

"""Statement 9 of the session contract when something else goes wrong meanwhile: at each step of a move, over real sockets."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from trunkline import tool
from trunkline.supervision.testing import crash, wait_for_restart
from trunkline.testing import crash_at


class Scene:
    """A session whose first answer is held: it is about to move, and goes when the test says."""

    def __init__(self, rig: Any, move: Any, **config: Any) -> None:
        self.stage = rig("text", half=True, **config)
        self.way = move(self.stage)
        self.stage.say("one")
        self.stage.events.until("assistant_text_delta")

    def lose(self, *numbers: int) -> None:
        """These lines are reset, all at once."""
        self.stage.server._on_each(lambda line: line.reset() if line.number in numbers else None)

    def lines(self) -> int:
        return len(self.stage.wire.handshakes())

    def is_at(self, step: str) -> None:
        if step == "connecting":
            self.stage.server.mute(future=True)
            self.way.due()
            self.stage.session.get_instructions().get(timeout=10)
        if step in ("ready", "moved"):
            self.way.until_ready()
        if step == "moved":
            self.way.limit()
            self.stage.events.until("session_updated", rolled_over=True)


@pytest.fixture
def scene(rig: Any, move: Any) -> Any:
    return lambda **config: Scene(rig, move, **config)


@pytest.fixture
def check(answers: Any) -> Any:
    """The conversation goes on: what was said is answered, once, by the line that serves."""

    def check(stage: Any) -> None:
        answers(stage).until_said("one")
        stage.say("two")
        answers(stage).until("heard one two")
        stage.quiet()
        answers(stage).check()
        texts = [event.text for event in stage.events.of("assistant_text")]
        assert texts == ["heard one", "heard one two"]
        history = stage.session.history().get(timeout=10)
        assert [item.text for item in history] == ["one", "heard one", "two", "heard one two"]

    return check


class TestStatement09LostLines:
    @pytest.mark.parametrize(
        ("step", "lost"),
        [
            ("ready", (1,)),
            ("ready", (2,)),
            ("ready", (1, 2)),
            ("moved", (1,)),
            ("moved", (2,)),
            ("moved", (1, 2)),
        ],
    )
    def test_whichever_line_is_lost_what_was_said_is_answered_once(
        self, scene: Any, check: Any, step: str, lost: tuple[int, ...]
    ) -> None:
        one = scene()
        one.is_at(step)
        one.lose(*lost)
        if (step, lost) == ("ready", (2,)):
            one.stage.wire.wait_closed(1, 10)
            one.way.until_told("session.updated")
            one.way.limit()
        check(one.stage)

    def test_a_line_that_is_lost_while_its_successor_is_being_opened_is_opened_anew(
        self, scene: Any, check: Any
    ) -> None:
        one = scene()
        one.is_at("connecting")
        one.stage.server.unmute()
        one.lose(1)
        check(one.stage)


class TestStatement09Tools:
    @pytest.mark.parametrize("forced", [True, False])
    def test_a_tool_at_work_runs_once_and_its_output_is_told_once(
        self, rig: Any, move: Any, answers: Any, forced: bool
    ) -> None:
        begun, go_on = threading.Event(), threading.Event()
        runs: list[str] = []

        @tool
        def look(what: str) -> str:
            """Look at something."""
            runs.append(what)
            begun.set()
            go_on.wait(10)
            return f"{what} seen"

        stage = rig("tool", tools=[look])
        way = move(stage)
        stage.say("one")
        assert begun.wait(10)
        way.until_ready()
        assert not any(event.rolled_over for event in stage.events.of("session_updated"))
        if forced:
            way.limit()
            stage.events.until("session_updated", rolled_over=True)
        go_on.set()
        answers(stage).until("heard one")
        if not forced:
            stage.events.until("session_updated", rolled_over=True)
        stage.quiet()
        answers(stage).check()
        assert runs == ["one"]
        outputs = [item for item in stage.outputs() if item[1] == "one seen"]
        assert len(outputs) == (1 if forced else 2), "once on each line that has to know it"
        creates = [len(stage.wire.sent("response.create", line)) for line in (1, 2)]
        assert creates == ([1, 1] if forced else [2, 0])


class TestStatement09Crashes:
    @pytest.mark.parametrize("step", ["connecting", "ready", "moved"])
    def test_a_crash_at_any_step_costs_the_lines_and_nothing_else(
        self, scene: Any, check: Any, step: str
    ) -> None:
        one = scene()
        one.is_at(step)
        one.stage.server.unmute()
        crash(one.stage.session.actor_ref, RuntimeError("on purpose"))
        wait_for_restart(one.stage.session.actor_ref, 10.0)
        check(one.stage)
        one.stage.wire.wait_closed(one.lines() - 1, 10)

    @pytest.mark.parametrize(
        ("point", "after"),
        [
            *(("session.after_accept", n) for n in (0, 1)),
            *(("session.after_receive", n) for n in (0, 1, 4)),
            *(("session.before_emit", n) for n in (0, 1, 2, 3, 4)),
            *(("session.before_send", n) for n in (0, 1)),
        ],
    )
    def test_a_crash_in_the_middle_of_the_move_itself(
        self, scene: Any, check: Any, point: str, after: int
    ) -> None:
        one = scene()
        one.is_at("ready")
        with crash_at(point, after=after) as crashed:
            one.way.limit()
            crashed.wait(10.0)
        wait_for_restart(one.stage.session.actor_ref, 10.0, after=0)
        check(one.stage)


class TestStatement09Commands:
    def test_settings_that_change_in_a_move_hold_on_the_new_line(self, scene: Any, check: Any) -> None:
        one = scene()
        one.is_at("ready")
        one.stage.session.update_instructions("other").get(timeout=10)
        one.way.limit()
        one.stage.events.until("session_updated", rolled_over=True)
        check(one.stage)
        updates = [frame["session"].get("instructions") for frame in one.stage.wire.sent("session.update", 2)]
        assert updates[-1] == "other"
        assert one.stage.session.get_instructions().get(timeout=10) == "other"

    def test_what_is_asked_in_a_move_is_answered(self, scene: Any, check: Any) -> None:
        one = scene()
        one.is_at("ready")
        pending = [
            one.stage.session.update_instructions("a"),
            one.stage.session.update(max_response_output_tokens=99),
        ]
        one.way.limit()
        pending += [one.stage.session.update_instructions("b")]
        for future in pending:
            future.get(timeout=10)
        assert one.stage.session.get_instructions().get(timeout=10) == "b"
        check(one.stage)

    @pytest.mark.parametrize("step", ["connecting", "ready", "moved"])
    def test_close_at_any_step_ends_all_lines(self, scene: Any, step: str) -> None:
        one = scene()
        one.is_at(step)
        one.stage.session.close().get(timeout=10)
        one.stage.events.until("session_closed", reason="client")
        one.stage.wire.wait_closed(one.lines(), 10)

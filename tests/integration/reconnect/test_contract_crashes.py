"""Statement 11 of the session contract, its last sentence, over real sockets: a session's actor crashes anywhere in a turn."""

from __future__ import annotations

from typing import Any

import pytest

from trunkline.supervision.testing import wait_for_restart
from trunkline.testing import CRASH_POINTS, crash_at

POINTS = sorted(name for name in CRASH_POINTS if name.startswith("session."))


def whole_answers(stage: Any) -> list[str]:
    """The answers that were not cut off: each is text of a turn that completed, and of no interrupted one."""
    interrupted = {event.turn_id for event in stage.events.of("interrupted")}
    finals = [*stage.events.of("assistant_text"), *stage.events.of("assistant_transcript")]
    return [event.text for event in finals if event.turn_id not in interrupted]


class TestStatement11CrashAnywhereInATurn:
    @pytest.mark.parametrize("after", [0, 1, 2, 4])
    @pytest.mark.parametrize("kind", ["text", "tool"])
    @pytest.mark.parametrize("point", POINTS)
    def test_what_was_accepted_is_answered_once(
        self, rig: Any, answers: Any, point: str, kind: str, after: int
    ) -> None:
        stage = rig(kind)
        accepted: list[str] = []
        with crash_at(point, after=after) as crash:
            for word in ("one", "two", "three", "four"):
                if stage.session.send_text(word).exception(timeout=10) is None:
                    accepted.append(word)
                    if not crash.fired:
                        answers(stage).until_answered_or(lambda: crash.fired)
                if crash.fired:
                    break
            crash.wait(10.0)
        assert wait_for_restart(stage.session.actor_ref, 10.0, after=0) == 1
        stage.say("end")
        accepted.append("end")
        answers(stage).until_ends_with("end")
        stage.quiet()
        answers(stage).check()
        heard = whole_answers(stage)[-1].split()
        known = [word for word in heard if word in ("one", "two", "three", "four", "end")]
        assert [word for word in known if word in accepted] == accepted, "each accepted message is there once"
        last = max(frame.connection for frame in stage.wire.handshakes())
        sent = [frame["item"] for frame in stage.wire.sent("conversation.item.create", last)]
        outputs = [item["call_id"] for item in sent if item["type"] == "function_call_output"]
        assert len(outputs) == len(set(outputs))
        finals = [text for text in whole_answers(stage) if text != "wait"]
        if kind == "text":  # two questions at once may each have their own round of tools
            assert len(finals) == len(set(finals)), finals

    @pytest.mark.parametrize(
        ("point", "after"),
        [
            *(("session.after_receive", n) for n in (0, 3, 6, 9, 12)),
            *(("session.before_emit", n) for n in (0, 2, 4, 6, 8)),
            *(("session.after_accept", n) for n in (0, 1, 2, 3, 5)),
        ],
    )
    def test_what_was_spoken_and_understood_is_answered_once(
        self, rig: Any, answers: Any, kinds: Any, point: str, after: int
    ) -> None:
        stage = rig("spoken")
        with crash_at(point, after=after) as crash:
            kinds["spoken"].say(stage, "one")
            crash.wait(10.0)
        assert wait_for_restart(stage.session.actor_ref, 10.0, after=0) == 1
        stage.events.until("session_updated", resumed=True)
        stage.session.update_instructions("go on").get(timeout=10)  # behind the replay: history is what it is
        items = stage.session.history().get(timeout=10)
        understood = [item.text for item in items if item.role == "user" and item.text]
        if understood:
            answers(stage).until_said("one")
        kinds["spoken"].say(stage, "two")
        answers(stage).until_ends_with("two")
        stage.quiet()
        answers(stage).check()
        finals = whole_answers(stage)
        assert len(finals) == len(set(finals)), finals

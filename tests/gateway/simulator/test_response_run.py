"""A response as a state machine: what it waits for, and where it can be cut."""

from __future__ import annotations

from random import Random

import pytest

from trunkline.gateway.simulator import CallTool, Conversation, Fail, Pause, Say
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.item_list import ItemList
from trunkline.gateway.simulator.response_run import CANCELLED_BY_CLIENT, Options, ResponseRun

STEPS = [Say("Hello there"), CallTool("f", {"a": 1}, call_id="c"), Fail("x", "y")]


def run_of(delay_s=0.0, items=None):
    audio = {"format": {"type": "audio/pcm"}, "voice": "marin"}
    options = Options(["text"], audio, "inf", None, "conv", delay_s)
    return ResponseRun(Ids(Random(0)), options, Conversation(items=[], response_id="resp"), items)


def kinds(actions):
    events = [event for action in actions if isinstance(action, list) for event in action]
    return [event["type"].split(".", 1)[1] for event in events]


def test_it_waits_before_each_delta():
    actions = list(run_of(delay_s=0.25).perform([Say("a b"), Say("c", delay_s=0)]))
    waits = [action if action == Pause(0.25) else kinds([action])[0] for action in actions if action != []]
    assert waits == [
        "output_item.added",
        Pause(0.25),
        "output_text.delta",
        Pause(0.25),
        "output_text.delta",
        "output_text.done",
        "output_item.added",
        "output_text.delta",
        "output_text.done",
    ]


N_ACTIONS = len(list(run_of().perform(STEPS)))


@pytest.mark.parametrize("n_before", range(N_ACTIONS))
def test_wherever_it_is_cut_all_that_was_opened_is_closed(n_before):
    items = ItemList()
    run = run_of(items=items)
    actions = run.perform(STEPS)
    seen = [next(actions) for _ in range(n_before)]
    seen.append(run.end(CANCELLED_BY_CLIENT))
    assert run.end(CANCELLED_BY_CLIENT) == []
    assert kinds(seen).count("output_item.added") == kinds(seen).count("output_item.done")
    assert kinds(seen).count("content_part.added") == kinds(seen).count("content_part.done")
    done = run.done()["response"]
    assert {item["status"] for item in done["output"]} <= {"completed", "incomplete"}
    assert [item["id"] for item in items] == [item["id"] for item in done["output"]]

"""Partial matching of events, and what it says where they differ."""

from __future__ import annotations

import pickle
import re

import pytest

from trunkline.gateway.simulator.field_match import ABSENT, at_least, at_most, one_of, shown, wanted_fields

EVENT = {
    "type": "conversation.item.create",
    "previous_item_id": None,
    "audio_end_ms": 640,
    "strict": True,
    "item": {
        "role": "user",
        "content": [{"type": "input_text", "text": "What's up?"}, {"type": "input_audio", "audio": "AAAA"}],
    },
}


def differences(mapping=None, **keywords):
    return wanted_fields(mapping or {}, keywords).differences(EVENT)


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"item": {"role": "user"}},
        {"item": {"content": [{"type": "input_text"}, {}]}},
        {"item": {"content": ({"text": "What's up?"}, {"audio": ...})}},
        {"previous_item_id": None, "audio_end_ms": 640.0},
        {"audio_end_ms": int, "item": dict},
        {"audio_end_ms": at_least(640)},
        {"audio_end_ms": at_most(640)},
        {"audio_end_ms": lambda value: value > 600},
        {"item": {"role": one_of("user", "system"), "content": ...}},
        {"item": {"content": [{"text": re.compile("up")}, {}]}},
        {"event_id": ABSENT, "item": {"id": ABSENT}},
    ],
)
def test_an_event_with_what_is_wanted_and_more_matches(wanted):
    assert differences(wanted) == []


@pytest.mark.parametrize(
    ("wanted", "lines"),
    [
        ({"item": {"role": "system"}}, ["item.role: expected 'system', got 'user'"]),
        ({"item": {"id": "x"}}, ["item.id: expected 'x', it is not there"]),
        ({"event_id": ...}, ["event_id: expected ..., it is not there"]),
        ({"item": ABSENT}, ["item: expected ABSENT, got {'role'"]),
        ({"previous_item_id": ABSENT}, ["previous_item_id: expected ABSENT, got None"]),
        ({"audio_end_ms": at_most(639)}, ["audio_end_ms: expected at_most(639), got 640"]),
        ({"audio_end_ms": at_least(641)}, ["audio_end_ms: expected at_least(641), got 640"]),
        ({"audio_end_ms": str}, ["audio_end_ms: expected a str, got 640"]),
        ({"audio_end_ms": re.compile("6")}, ["audio_end_ms: expected /6/, got 640"]),
        ({"strict": 1}, ["strict: expected 1, got True"]),
        ({"strict": at_least(0)}, ["strict: expected at_least(0), got True"]),
        ({"item": {"content": [{}]}}, ["item.content: expected [{}], got [{"]),
        ({"item": {"content": {}}}, ["item.content: expected {}, got [{"]),
        (
            {"item": {"role": "x", "content": [{"text": "y"}, {"audio": "z"}]}},
            ["item.role: ", "item.content.0.text: expected 'y'", "item.content.1.audio: "],
        ),
    ],
)
def test_each_field_that_differs_has_a_line(wanted, lines):
    got = differences(wanted)
    assert len(got) == len(lines)
    assert all(line.startswith(start) for line, start in zip(got, lines, strict=True)), got


def test_keywords_are_paths_joined_by_two_underscores_and_numbers_are_places_in_lists():
    assert differences(item__role="user", item__content__0__text="What's up?") == []
    assert differences(item__content__2__text="x") == ["item.content.2.text: expected 'x', it is not there"]
    assert differences(audio_end_ms__x=1) == ["audio_end_ms.x: expected 1, it is not there"]


def test_a_field_that_is_named_with_a_single_underscore_stays_whole():
    assert differences(audio_end_ms=640) == []


def test_a_predicate_that_raises_is_a_difference_that_says_so():
    (line,) = differences(item__role=lambda value: value + 1)
    assert "asking it of 'user' raised TypeError" in line


def test_a_predicate_is_not_asked_of_a_field_that_is_not_there():
    assert differences(missing=lambda _: True) == ["missing: expected <lambda>, it is not there"]


def test_what_is_wanted_reads_as_it_was_written():
    assert str(wanted_fields({"a": 1}, {"item__role": "user"})) == "a=1, item.role='user'"
    assert len(shown("x" * 1000)) < 100


def test_absent_stays_the_only_one_when_it_is_pickled():
    assert pickle.loads(pickle.dumps(ABSENT)) is ABSENT

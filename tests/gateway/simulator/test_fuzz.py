"""Whatever a client sends, or a user offers as a tool: the session stays open and the others are served."""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.simulator import CallTool, Conversation, RuleBrain, Say
from trunkline.gateway.simulator.effects import Send, Start
from trunkline.gateway.simulator.ids import Ids
from trunkline.gateway.simulator.session_core import SessionCore

TYPES = [
    "session.update",
    "input_audio_buffer.append",
    "input_audio_buffer.commit",
    "input_audio_buffer.clear",
    "output_audio_buffer.clear",
    "conversation.item.create",
    "conversation.item.retrieve",
    "conversation.item.truncate",
    "conversation.item.delete",
    "response.create",
    "response.cancel",
]
NAMES = """
    type session item response event_id item_id previous_item_id response_id audio id role content text status call_id
    output name arguments tools tool_choice instructions output_modalities input turn_detection format voice speed
    conversation metadata max_output_tokens content_index audio_end_ms parameters properties required enum items anyOf $ref
    $defs model transcription noise_reduction prompt
"""
WORDS = [
    *TYPES, "realtime", "message", "user", "system", "assistant", "input_text", "output_text", "input_audio", "function",
    "function_call", "function_call_output", "item_reference", "auto", "none", "required", "root", "audio", "text",
    "audio/pcm", "audio/pcmu", "server_vad", "gpt-realtime-2", "AAAA", "string", "integer", "array", "object", "#/$defs/a",
]  # fmt: skip

names = st.sampled_from(NAMES.split())
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=20),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(names, st.text(max_size=5)), inner, max_size=5),
    ),
    max_leaves=12,
)
events = st.builds(
    lambda kind, fields: json.dumps({**fields, "type": kind}),
    st.sampled_from(TYPES),
    st.dictionaries(names, values, max_size=4),
)
schema_words = st.sampled_from(["type", "enum", "items", "anyOf", "$ref", "properties", "format"])
property_schemas = st.one_of(values, st.dictionaries(schema_words, values, max_size=3))
parameters = st.fixed_dictionaries(
    {},
    optional={
        "properties": st.one_of(values, st.dictionaries(names, property_schemas, max_size=4)),
        "required": st.one_of(values, st.lists(names, max_size=3)),
        "$defs": st.one_of(values, st.dictionaries(st.just("a"), property_schemas)),
    },
)
frames = st.one_of(st.text(), st.binary(), values.map(json.dumps), events)


def played(core: SessionCore, frame: str | bytes) -> Iterator[dict]:
    """Feed a frame and play what it starts, all without a socket."""
    for effect in core.receive(frame):
        if isinstance(effect, Send):
            yield effect.event
        elif isinstance(effect, Start):
            for action in core.play(effect.run, RuleBrain().reply):
                yield from action if isinstance(action, list) else ()


@settings(max_examples=250, deadline=None)
@given(st.lists(frames, max_size=8))
def test_the_core_answers_anything_with_well_formed_events(given_frames):
    core = SessionCore(Ids(Random(1)), "gpt-realtime-2", 0)
    for frame in given_frames:
        for event in played(core, frame):
            assert event["event_id"]
            json.dumps(event, allow_nan=False)
            if event["type"] == "error":
                assert event["error"]["code"]
                assert event["error"]["message"]
    (done,) = [
        event for event in played(core, '{"type": "response.create"}') if event["type"] == "response.done"
    ]
    assert done["response"]["status"] in ("completed", "incomplete")


@settings(max_examples=500, deadline=None)
@given(
    st.text(max_size=60),
    st.lists(
        st.fixed_dictionaries(
            {"type": st.just("function"), "name": st.text(min_size=1, max_size=8)},
            optional={
                "description": st.text(max_size=20),
                "parameters": parameters,
            },
        ),
        max_size=3,
    ),
    st.sampled_from(["auto", "none", "required"]),
)
def test_the_rule_brain_makes_something_of_any_text_and_tool(text, tools, choice):
    items = [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}]
    for step in RuleBrain().reply(Conversation(items=items, tools=tools, tool_choice=choice)):
        assert isinstance(step, Say | CallTool)


def test_a_session_survives_any_frame_on_its_socket(simulate, connected):
    # No pings: websockets chooses their payload with the global `random`, which Hypothesis takes for its strategies' doing.
    simulator = simulate(ping_interval_s=None)
    client, other = (connected(simulator, ping_interval=None).text_session() for _ in range(2))
    sent = 0

    @settings(max_examples=150, deadline=None)
    @given(frames)
    def survives(frame):
        nonlocal sent
        sent += 1
        client.socket.send(frame)
        client.send("marker", event_id=f"marker {sent}")
        while (event := client.next()).get("error", {}).get("event_id") != f"marker {sent}":
            assert event["type"]

    survives()
    assert client.respond(conversation="none")[-2]["type"] == "response.done"
    assert other.ask("What's the capital of Kenya?") == "The capital of Kenya is Nairobi."

"""What a response reads of a conversation that is longer than its model takes. Source: protocol.md A.4, A.8."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway.simulator import FunctionBrain, McpServer, Say
from trunkline.gateway.simulator.client_error import ClientError
from trunkline.gateway.simulator.context_window import ContextWindow, input_limit
from trunkline.gateway.simulator.conversation import Conversation
from trunkline.gateway.simulator.token_count import Tokens

SMALL, LARGE = "gpt-realtime", "gpt-realtime-2"


def ratio(share, most=None):
    limits = {} if most is None else {"token_limits": {"post_instructions": most}}
    return {"type": "retention_ratio", "retention_ratio": share, **limits}


def of_sizes(*sizes, settings=0, model=SMALL):
    """Return a conversation of items a, b, c ... that cost so much, and its context."""
    names = [chr(ord("a") + index) for index in range(len(sizes))]
    items = [{"id": name} for name in names]
    pieces = ((name, Tokens(text=size)) for name, size in zip(names, sizes, strict=True))
    return Conversation(items, model=model), (("settings", Tokens(text=settings)), *pieces)


def read(window, given_conversation, truncation, *, has_own_input=False):
    conversation, context = window.fit(*given_conversation, truncation, has_own_input=has_own_input)
    names = "".join(item["id"] for item in conversation.items)
    assert [name for name, _ in context] == ["settings", *names]
    return names


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-realtime", 28_224),
        ("gpt-realtime-2025-08-28", 28_224),
        ("gpt-realtime-mini", 28_224),
        ("anything", 28_224),
        ("gpt-realtime-2", 96_000),
        ("gpt-realtime-2.1", 96_000),
        ("gpt-realtime-2.1-mini", 96_000),
    ],
)
def test_a_model_reads_so_many_tokens(model, limit):
    assert input_limit(model) == limit


@pytest.mark.parametrize(
    ("sizes", "truncation", "names"),
    [
        ((28_000, 224), "auto", "ab"),
        ((28_000, 225), "auto", "b"),
        ((10_000, 10_000, 10_000, 10_000), "auto", "cd"),
        ((30_000,), "auto", ""),
        ((28_000, 225), "disabled", "ab"),
        ((100, 100, 100), ratio(0.5), "abc"),
        ((10_000, 10_000, 10_000), ratio(0.5), "c"),
        ((10_000, 10_000, 10_000), ratio(1), "bc"),
        ((10_000, 10_000, 10_000), ratio(0), ""),
        ((100, 100, 100), ratio(1, 300), "abc"),
        ((100, 100, 100), ratio(1, 299), "bc"),
        ((100, 100, 100), ratio(0.5, 200), "c"),
    ],
)
def test_the_oldest_is_left_out_where_all_is_too_much(sizes, truncation, names):
    assert read(ContextWindow(), of_sizes(*sizes), truncation) == names


def test_the_settings_take_their_part_of_the_room():
    assert read(ContextWindow(), of_sizes(100, 100, settings=28_224 - 199), "auto") == "b"
    assert read(ContextWindow(), of_sizes(100, 100, settings=20_000), ratio(1, 200)) == "ab"


def test_what_was_left_out_is_read_no_more_and_makes_room_for_the_next_turns():
    window, truncation = ContextWindow(), ratio(0.5, 400)
    assert read(window, of_sizes(100, 100, 100, 100), truncation) == "abcd"
    assert read(window, of_sizes(100, 100, 100, 100, 100), truncation) == "de"
    assert read(window, of_sizes(100, 100, 100, 100, 100, 100), truncation) == "def"
    assert read(window, of_sizes(1, 1, 1, 1), "auto") == "d"
    window.forget("b")
    assert read(window, of_sizes(1, 1, 1, 1), "auto") == "bd"


def test_input_of_its_own_is_read_by_itself():
    window = ContextWindow()
    assert read(window, of_sizes(100, 100, 100), ratio(1, 100)) == "c"
    assert read(window, of_sizes(50, 50), ratio(1, 100), has_own_input=True) == "ab"
    assert read(window, of_sizes(100, 100), ratio(1, 100), has_own_input=True) == "b"
    assert read(window, of_sizes(1, 1, 1, 1), "auto") == "cd"


@pytest.mark.parametrize(
    ("conversation", "truncation", "fits"),
    [
        (of_sizes(28_224), "disabled", True),
        (of_sizes(28_225), "disabled", False),
        (of_sizes(28_224, settings=1), "disabled", False),
        (of_sizes(28_225, model=LARGE), "disabled", True),
        (of_sizes(28_225), "auto", True),
        (of_sizes(settings=28_224), "auto", True),
        (of_sizes(settings=28_225), "auto", False),
        (of_sizes(settings=28_225), ratio(1), False),
    ],
)
def test_what_cannot_be_made_to_fit_is_refused(conversation, truncation, fits):
    if fits:
        ContextWindow().check(*conversation, truncation)
    else:
        with pytest.raises(ClientError, match="context_length_exceeded"):
            ContextWindow().check(*conversation, truncation)


truncations = st.sampled_from(["auto"]) | st.builds(
    ratio, st.floats(0, 1), st.none() | st.integers(0, 28_224)
)


@given(st.lists(st.integers(0, 20_000), max_size=8), st.integers(0, 28_224), truncations)
def test_what_is_read_is_the_end_of_the_conversation_and_never_too_much(sizes, settings, truncation):
    given_conversation = of_sizes(*sizes, settings=settings)
    names = read(ContextWindow(), given_conversation, truncation)
    everything = "".join(item["id"] for item in given_conversation[0].items)
    assert everything.endswith(names)
    assert settings + sum(sizes[len(sizes) - len(names) :]) <= 28_224


# -- in a session ----------------------------------------------------------------------------------------------------

LONG = "x" * 4 * 10_000  # 10,000 tokens


def remembering(seen):
    def reply(conversation):
        seen.append(len(conversation.items))
        return [Say("noted")]

    return FunctionBrain(reply)


def usage_of(events):
    return events[-2]["response"]["usage"]


def test_a_long_conversation_is_read_from_its_newest_part_and_kept_whole(simulate, connected):
    seen = []
    client = connected(simulate(remembering(seen)), SMALL).text_session(instructions="")
    first = client.say(LONG)
    client.say(LONG)
    assert usage_of(client.respond())["input_tokens"] == 20_000
    client.say(LONG)
    usage = usage_of(client.respond())
    assert seen == [2, 3]  # the second question, the first answer and the third question
    assert 20_000 < usage["input_tokens"] <= 28_224
    # Its beginning is another one: nothing of it is cached.
    assert usage["input_token_details"]["cached_tokens"] == 0
    client.send("conversation.item.retrieve", item_id=first["id"])
    assert client.expect("conversation.item.retrieved")["item"] == first


def test_without_truncation_a_conversation_that_is_too_long_is_an_error(simulate, connected):
    seen = []
    servers = {"docs": McpServer(tools=[{"name": "search", "input_schema": {"type": "object"}}])}
    client = connected(simulate(remembering(seen), mcp_servers=servers), SMALL)
    client.text_session(truncation="disabled", instructions="")
    for _ in range(3):
        client.say(LONG)
    tool = {"type": "mcp", "server_label": "docs", "server_url": "https://example.com"}
    error = client.refused("response.create", event_id="mine", response={"tools": [tool]})
    assert (error["code"], error["event_id"]) == ("context_length_exceeded", "mine")
    assert "28224" in error["message"]
    assert seen == []
    client.send("session.update", session={"type": "realtime", "truncation": "auto"})
    client.expect("session.updated")
    assert client.respond()[-2]["response"]["status"] == "completed"
    assert seen == [2]


def test_a_limit_above_that_of_the_model_is_refused(simulate, connected):
    client = connected(simulate(), SMALL)
    client.expect("session.created")
    error = client.refused("session.update", session={"type": "realtime", "truncation": ratio(0.8, 28_225)})
    assert (error["code"], error["param"]) == (
        "invalid_value",
        "session.truncation.token_limits.post_instructions",
    )
    client.send("session.update", session={"type": "realtime", "truncation": ratio(0.8, 28_224)})
    assert client.expect("session.updated")["session"]["truncation"] == ratio(0.8, 28_224)

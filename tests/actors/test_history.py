"""The history: the provider's order, what was heard, and what a new line has to hear."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.actors.history import ROOT, History, heard_text
from trunkline.actors.session_log import (
    Entry,
    ItemDeleted,
    ItemRecorded,
    ItemRefused,
    ItemTruncated,
    ReplySettled,
    Transcribed,
)
from trunkline.gateway.items import (
    assistant_text,
    function_call,
    function_call_output,
    input_audio,
    input_image,
    input_text,
    item_text,
    message,
    system_text,
    user_text,
)
from trunkline.gateway.wire_types import ContentPart, Item


def history(*entries: Entry) -> History:
    made = History()
    for entry in entries:
        made.apply(entry)
    return made


def ids(made: History) -> list[str]:
    return [item.item_id for item in made.items()]


def spoken(text: str, item_id: str, status: str = "completed") -> Item:
    part = ContentPart(type="output_audio", transcript=text)
    return Item(type="message", role="assistant", id=item_id, status=status, content=(part,))


A, B, C = (ItemRecorded(user_text(name, item_id=name)) for name in "abc")


class TestOrder:
    def test_items_come_last_unless_something_else_is_known(self):
        assert ids(history(A, B, C)) == ["a", "b", "c"]

    def test_an_item_is_placed_behind_the_one_it_follows(self):
        late = ItemRecorded(user_text("late", item_id="late"), "a")
        assert ids(history(A, B, late)) == ["a", "late", "b"]

    def test_an_item_may_be_the_first(self):
        assert ids(history(A, ItemRecorded(system_text("s", item_id="s"), ROOT))) == ["s", "a"]

    def test_what_the_provider_says_of_its_place_later_moves_an_item(self):
        assert ids(history(A, B, C, ItemRecorded(user_text("a", item_id="a"), "b"))) == ["b", "a", "c"]

    def test_an_unknown_predecessor_means_last_and_moves_nothing(self):
        follows_nobody = ItemRecorded(user_text("a", item_id="a"), "nobody")
        assert ids(history(B, follows_nobody)) == ["b", "a"]
        assert ids(history(A, B, follows_nobody)) == ["a", "b"]

    def test_an_item_without_id_is_nothing_that_could_be_kept(self):
        assert ids(history(ItemRecorded(user_text("x")))) == []


class TestWhatIsShown:
    def test_a_deleted_or_refused_item_is_gone_and_does_not_come_back(self):
        made = history(A, B, ItemDeleted("a"), ItemRefused("b"), A, B)
        assert ids(made) == []

    def test_an_item_may_be_deleted_before_it_is_complete(self):
        assert ids(history(ItemDeleted("i"), ItemRecorded(spoken("hello", "i")))) == []

    def test_of_a_truncated_item_only_what_was_heard_is_left(self):
        made = history(ItemRecorded(spoken("one two three", "i")), ItemTruncated("i", 700, "one two"))
        (item,) = made.items()
        assert (item.text, item.truncated, item.audio_end_ms) == ("one two", True, 700)

    def test_an_item_may_be_truncated_before_it_is_complete(self):
        made = history(
            ItemTruncated("i", 700, "one"), ItemRecorded(spoken("one two three", "i", "incomplete"))
        )
        assert [(item.text, item.status) for item in made.items()] == [("one", "incomplete")]

    def test_a_transcript_may_come_before_or_after_its_item(self):
        audio = ItemRecorded(message("user", input_audio(b"\0\0"), item_id="i"))
        said = Transcribed("i", 0, "hello")
        assert [item.text for item in history(audio, said).items()] == ["hello"]
        assert [item.text for item in history(said, audio).items()] == ["hello"]

    def test_sound_is_not_kept(self):
        made = history(ItemRecorded(message("user", input_audio(b"\1" * 1000), item_id="i")))
        assert made.get("i").content[0].audio is None

    def test_calls_and_outputs_show_what_was_asked_and_answered(self):
        made = history(
            ItemRecorded(function_call("c", "add", '{"a": 1}', item_id="call")),
            ItemRecorded(function_call_output("c", "2", item_id="out")),
        )
        call, output = made.items()
        assert (call.call_id, call.name, call.arguments) == ("c", "add", '{"a": 1}')
        assert (output.call_id, output.output) == ("c", "2")

    def test_a_call_has_one_output_however_often_it_was_written_down(self):
        made = history(
            ItemRecorded(function_call("c", "add", "{}", item_id="call")),
            ItemRecorded(function_call_output("c", "2", item_id="out")),
            A,
            ItemRecorded(function_call_output("c", "2", item_id="again")),
        )
        assert ids(made) == ["call", "a", "again"]
        assert [item.id for item in made.replay()] == ["call", "again", "a"]
        made.apply(ItemRecorded(function_call_output("c", "2", item_id="out")))
        assert ids(made) == ["call", "a", "again"], "the first one is gone for good"

    def test_a_call_id_that_a_provider_uses_again_is_another_call_s(self):
        made = history(
            ItemRecorded(function_call("c", "add", "{}", item_id="call 1")),
            ItemRecorded(function_call_output("c", "2", item_id="out 1")),
            ItemRecorded(function_call("c", "add", "{}", item_id="call 2")),
        )
        assert [item.id for item in made.replay()] == ["call 1", "out 1"]
        made.apply(ItemRecorded(function_call_output("c", "4", item_id="out 2")))
        assert [item.id for item in made.replay()] == ["call 1", "out 1", "call 2", "out 2"]

    def test_an_image_is_counted(self):
        picture = message("user", input_text("see"), input_image("data:image/png;base64,AA=="), item_id="i")
        assert [(item.text, item.n_images) for item in history(ItemRecorded(picture)).items()] == [("see", 1)]


class TestReplay:
    def test_messages_are_told_again_as_text_with_their_ids(self):
        made = history(
            ItemRecorded(system_text("be brief", item_id="s")),
            ItemRecorded(message("user", input_audio(b"", "hi"), item_id="u")),
            ItemRecorded(spoken("hello there", "a")),
        )
        told = made.replay()
        assert [(item.id, item.role, item_text(item)) for item in told] == [
            ("s", "system", "be brief"),
            ("u", "user", "hi"),
            ("a", "assistant", "hello there"),
        ]
        assert [part.type for item in told for part in item.content] == [
            "input_text",
            "input_text",
            "output_text",
        ]
        assert {(item.status, item.object) for item in told} == {(None, None)}

    def test_of_the_truncated_only_what_was_heard_is_told(self):
        made = history(ItemRecorded(spoken("one two three", "i")), ItemTruncated("i", 1, "one"))
        assert [item_text(item) for item in made.replay()] == ["one"]

    def test_what_has_no_words_is_left_out(self):
        made = history(
            ItemRecorded(message("user", input_audio(b""), item_id="u")),
            ItemRecorded(spoken("never heard", "a")),
            ItemTruncated("a", 10, ""),
        )
        assert made.replay() == []

    def test_a_call_and_its_output_go_together_and_a_dropped_call_is_left_out(self):
        made = history(
            ItemRecorded(function_call("c1", "f", "{}", item_id="1")),
            ItemRecorded(function_call("c2", "f", "{}", item_id="2")),
            ItemRecorded(function_call("c3", "f", "{}", item_id="3")),
            A,
            ItemRecorded(function_call_output("c1", "x", item_id="o1")),
            ItemRecorded(function_call_output("c3", "y", item_id="o3")),
        )
        assert [item.id for item in made.replay()] == ["1", "o1", "3", "o3", "a"]

    def test_images_are_told_again(self):
        picture = input_image("data:image/png;base64,AA==", "low")
        made = history(ItemRecorded(message("user", picture, item_id="i")))
        assert made.replay()[0].content == (picture,)

    def test_what_only_the_provider_can_make_is_left_out(self):
        assert history(ItemRecorded(Item(type="mcp_list_tools", id="m"))).replay() == []


class TestAnswered:
    def test_words_of_the_model_after_it_answer_an_item(self):
        made = history(A, ItemRecorded(spoken("yes", "x")), B)
        assert (made.is_answered("a"), made.is_answered("b"), made.is_answered("nobody")) == (
            True,
            False,
            False,
        )

    def test_words_that_were_cut_off_do_not(self):
        assert not history(A, ItemRecorded(spoken("ye", "x", "incomplete"))).is_answered("a")

    def test_nor_do_words_before_a_call_that_waits_for_its_output(self):
        call = ItemRecorded(function_call("c", "f", "{}", item_id="call"))
        made = history(A, ItemRecorded(spoken("let me see", "x")), call)
        assert not made.is_answered("a")
        made.apply(ItemRecorded(function_call_output("c", "1", item_id="out")))
        assert made.is_answered("a")

    def test_words_that_answered_somebody_else_are_no_answer(self):
        made = history(A, B, ItemRecorded(spoken("yes", "x")), ReplySettled(("a",)))
        assert not made.is_answered("b")
        made.apply(ItemRecorded(spoken("and yes", "y")))
        assert made.is_answered("b")


class TestHeardText:
    @pytest.mark.parametrize(
        ("played_ms", "heard"),
        [(0, ""), (100, ""), (500, "one"), (620, "one two"), (999, "one two"), (1000, "one two three")],
    )
    def test_a_word_counts_when_it_was_played_to_its_end(self, played_ms, heard):
        assert heard_text("one two three", played_ms, 1000) == heard

    def test_more_than_everything_is_everything(self):
        assert heard_text("one", 2000, 1000) == "one"
        assert heard_text("", 0, 0) == ""

    @given(st.text(), st.floats(0, 2000), st.floats(1, 2000))
    def test_it_is_a_beginning_of_the_text(self, text, played_ms, length_ms):
        assert text.startswith(heard_text(text, played_ms, length_ms))

    @given(st.text(), st.floats(0, 1000), st.floats(0, 1000))
    def test_who_hears_longer_hears_no_less(self, text, one, other):
        less, more = sorted((one, other))
        assert len(heard_text(text, less, 1000)) <= len(heard_text(text, more, 1000))


entries = st.one_of(
    st.builds(
        ItemRecorded,
        st.sampled_from("abcdef").map(lambda name: user_text(name, item_id=name)),
        st.sampled_from([None, ROOT, *"abcdef"]),
    ),
    st.builds(ItemDeleted, st.sampled_from("abcdef")),
    st.builds(ItemTruncated, st.sampled_from("abcdef"), st.integers(0, 9), st.text(max_size=3)),
    st.builds(Transcribed, st.sampled_from("abcdef"), st.just(0), st.text(max_size=3)),
)


@given(st.lists(entries))
def test_no_entry_makes_an_item_appear_twice_or_a_deleted_one_come_back(log):
    made = history(*log)
    assert len(ids(made)) == len(set(ids(made))) == len(made)
    assert not {entry.item_id for entry in log if isinstance(entry, ItemDeleted)} & set(ids(made))
    assert {item.id for item in made.replay()} <= set(ids(made))


@given(st.lists(entries))
def test_entries_survive_json(log):
    assert msgspec.json.decode(msgspec.json.encode(log), type=list[Entry]) == log


def test_an_assistant_s_text_is_told_as_text():
    assert history(ItemRecorded(assistant_text("hi", item_id="i"))).replay() == [
        assistant_text("hi", item_id="i")
    ]

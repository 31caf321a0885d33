"""The durable log: what is appended is there for the next process, in order, session by session."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from trunkline.actors.errors import SessionLogError
from trunkline.actors.session_log import (
    CallsBegan,
    CallSettled,
    ItemRecorded,
    ReplyAsked,
    ReplySettled,
    SessionConfirmed,
    SettingsChanged,
)
from trunkline.actors.sqlite_session_log import SqliteSessionLog
from trunkline.gateway.items import function_call, item_reference, user_image, user_text
from trunkline.gateway.response_options import ResponseOptions, response_params
from trunkline.gateway.tool_descriptor import ToolDescriptor

OPTIONS = ResponseOptions(
    instructions="be brief",
    conversation="none",
    metadata={"topic": "mood"},
    input=[user_text("hi"), item_reference("item_1")],
    max_output_tokens="inf",
    tools=[ToolDescriptor("look", "Look.", {"type": "object"})],
    voice="cedar",
)
ENTRIES = [
    SessionConfirmed("Be brief."),
    ItemRecorded(user_text("h\u00e9llo \U0001f600", item_id="item_1"), "root"),
    ReplyAsked("item_1"),
    CallsBegan("r1", (function_call("c1", "look", '{"a": 1}', item_id="item_2"),)),
    CallSettled("r1", "c1", '{"b": "\\u0000"}'),
    ReplySettled(("item_1",)),
    ReplyAsked("ask_1", response_params(OPTIONS)),
    ItemRecorded(user_image(b"\x89PNG\r\n\x1a\n", "what is it?", item_id="item_3"), "item_1"),
    SettingsChanged(
        {"voice": "cedar", "speed": 1.5, "modalities": ["audio", "text"], "tracing": None}, ("tools",)
    ),
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sessions.db"


def test_entries_are_there_for_whoever_opens_the_file_next(path):
    with SqliteSessionLog(path) as log:
        for entry in ENTRIES:
            log.open("s").append(entry)
    with SqliteSessionLog(path) as log:
        assert list(log.open("s").read()) == ENTRIES


def test_an_entry_is_in_the_file_before_the_log_is_closed(path):
    with SqliteSessionLog(path) as log, SqliteSessionLog(path) as other:
        log.open("s").append(ENTRIES[0])
        assert list(other.open("s").read()) == ENTRIES[:1]


def test_sessions_are_kept_apart_and_the_last_one_comes_first(path):
    with SqliteSessionLog(path) as log:
        log.open("a").append(ReplyAsked("1"))
        log.open("b").append(ReplyAsked("2"))
        log.open("a").append(ReplyAsked("3"))
        assert list(log.open("a").read()) == [ReplyAsked("1"), ReplyAsked("3")]
        assert log.sessions() == ["a", "b"]
        assert list(log.open("nobody").read()) == []


def test_a_deleted_session_is_gone_from_the_file(path):
    with SqliteSessionLog(path) as log:
        log.open("a").append(ENTRIES[1])
        log.delete("a")
        log.delete("nobody")
        assert log.sessions() == []
        log.open("a").append(ENTRIES[2])
        assert list(log.open("a").read()) == [ENTRIES[2]]
    assert "llo" not in path.read_bytes().decode("latin-1")


def test_many_threads_write_at_once_and_nothing_is_lost_or_out_of_order(path):
    with SqliteSessionLog(path) as log:

        def write(name):
            mine = log.open(name)
            for n in range(100):
                mine.append(ReplyAsked(str(n)))

        threads = [threading.Thread(target=write, args=(f"s{k}",)) for k in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        for k in range(8):
            assert [entry.ask_id for entry in log.open(f"s{k}").read()] == [str(n) for n in range(100)]


def test_a_log_goes_on_where_the_last_process_left_off(path):
    for n in range(3):
        with SqliteSessionLog(path) as log:
            log.open("s").append(ReplyAsked(str(n)))
    with SqliteSessionLog(path) as log:
        assert [entry.ask_id for entry in log.open("s").read()] == ["0", "1", "2"]


@pytest.mark.parametrize("synchronous", ["normal", "full"])
def test_how_safe_a_write_is_can_be_chosen(path, synchronous):
    with SqliteSessionLog(path, synchronous=synchronous) as log:
        log.open("s").append(ENTRIES[0])
        assert list(log.open("s").read()) == ENTRIES[:1]


class TestBadInput:
    def test_another_word_than_normal_or_full_is_refused(self, path):
        with pytest.raises(SessionLogError, match="'normal' or 'full'"):
            SqliteSessionLog(path, synchronous="off")

    def test_a_path_that_cannot_be_is_an_error_that_names_it(self, tmp_path):
        with pytest.raises(SessionLogError, match=r"nowhere.*its directory does not exist"):
            SqliteSessionLog(tmp_path / "nowhere" / "sessions.db")

    def test_a_file_of_another_kind_is_refused_and_left_alone(self, path):
        path.write_bytes(b"this is no database, and it is mine" * 40)
        with pytest.raises(SessionLogError, match="not a database"):
            SqliteSessionLog(path)
        assert path.read_bytes().startswith(b"this is no database")

    def test_a_file_of_a_later_version_is_refused(self, path):
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version=99")
        connection.close()
        with pytest.raises(SessionLogError, match="version 99"):
            SqliteSessionLog(path)

    def test_an_entry_of_another_kind_is_an_error_and_not_silence(self, path):
        with SqliteSessionLog(path) as log:
            log.open("s").append(ENTRIES[0])
            connection = sqlite3.connect(path)
            connection.execute("INSERT INTO entries VALUES ('s', 1, 0, '{\"type\": \"Nonsense\"}')")
            connection.commit()
            connection.close()
            with pytest.raises(SessionLogError, match="cannot be read"):
                log.open("s").read()

    def test_a_closed_log_takes_nothing(self, path):
        log = SqliteSessionLog(path)
        log.close()
        log.close()
        with pytest.raises(SessionLogError, match="failed"):
            log.open("s").append(ENTRIES[0])

"""The sound of the assistant's messages: kept, cut, forgotten."""

from __future__ import annotations

from trunkline.gateway.simulator import encode_words
from trunkline.gateway.simulator.g711 import encode
from trunkline.gateway.simulator.sounds import Sounds


def test_a_sound_that_grows_is_kept_whole():
    sounds, sound = Sounds(), bytearray(b"ab")
    sounds.keep("a", sound, "audio/pcmu")
    sound += b"cd"
    assert sounds.of("a") == b"abcd"
    assert sounds.of("b") is None


def test_what_was_cut_does_not_come_back():
    sounds, sound = Sounds(), bytearray(16)
    sounds.keep("a", sound, "audio/pcmu")
    sounds.cut("a", 1)
    sound += bytes(8)
    sounds.keep("a", sound, "audio/pcmu")
    assert sounds.of("a") == bytes(8)
    sounds.cut("b", 1)
    assert sounds.of("b") is None


def test_words_are_heard_as_far_as_they_were_not_cut():
    sounds = Sounds()
    sounds.keep("a", bytearray(encode(encode_words("one two three", 8000), "audio/pcma")), "audio/pcma")
    assert sounds.words_of("a") == "one two three"
    sounds.cut("a", 400)
    assert sounds.words_of("a") == "one two"
    sounds.drop("a")
    assert (sounds.of("a"), sounds.words_of("a")) == (None, "")


def test_the_oldest_go_when_there_are_too_many_but_never_the_last():
    sounds = Sounds(max_bytes=10)
    for name in "abc":
        sounds.keep(name, bytearray(4), "audio/pcm")
    assert [sounds.of(name) for name in "abc"] == [None, bytes(4), bytes(4)]
    sounds.keep("d", bytearray(99), "audio/pcm")
    assert [sounds.of(name) for name in "bcd"] == [None, None, bytes(99)]

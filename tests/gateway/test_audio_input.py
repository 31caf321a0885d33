"""Whatever an application has becomes what the session takes, sample by sample (contract, statement 14)."""

import sys
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.gateway import g711
from trunkline.gateway.audio import pcm16_to_array
from trunkline.gateway.audio_input import AudioInput
from trunkline.gateway.client_events import InputAudioBufferAppend
from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.errors import ConfigError, InvalidAudio, MissingExtra

FORMATS = ("pcm16", "g711_ulaw", "g711_alaw")
MIB = 1024 * 1024


def samples_of(pieces):
    return pcm16_to_array(b"".join(pieces))[0].tolist()


def tone(rate, seconds=0.5):
    return 0.5 * np.sin(2 * np.pi * 300 * np.arange(int(rate * seconds)) / rate)


# ------------------------------------------------------------------------------------------------------ types and shapes


@pytest.mark.parametrize(
    ("given_array", "sent"),
    [
        (np.array([0, 1, -1, 32767, -32768], np.int16), [0, 1, -1, 32767, -32768]),
        (np.array([1, -2], ">i2"), [1, -2]),
        (np.array([0.0, 0.5, -0.5, 1.0, -1.0], np.float32), [0, 16384, -16384, 32767, -32767]),
        (np.array([0.25, 3.0, -3.0], np.float64), [8192, 32767, -32767]),
        (np.array([[1], [2], [3]], np.int16), [1, 2, 3]),
        (np.array([[1, 3], [-4, -2], [32767, 32767], [-32768, -32768]], np.int16), [2, -3, 32767, -32768]),
        (np.array([[1.0, 0.0], [0.5, 0.5], [-1.0, 1.0]], np.float32), [16384, 16384, 0]),
        (np.array([[3.4e38, 3.4e38]], np.float32), [32767]),
        (np.arange(8, dtype=np.int16)[::2], [0, 2, 4, 6]),
        (np.arange(8, dtype=np.int16).reshape(2, 4).T, [2, 3, 4, 5]),
        (np.zeros((0, 2), np.float32), []),
    ],
)
def test_an_array_is_sent_as_its_samples(given_array, sent):
    assert samples_of(AudioInput().convert(given_array)) == sent


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros(4, np.int32),
        np.zeros(4, np.uint8),
        np.zeros(4, np.float16),
        np.zeros(4, np.complex64),
        np.zeros((4, 3), np.int16),
        np.zeros((2, 400), np.int16),
        np.zeros((4, 0), np.int16),
        np.zeros((1, 1, 1), np.int16),
        np.float32(0.5),
        np.array([0.1, np.nan], np.float32),
        np.array([[0.1, np.inf]], np.float64),
        [0, 1],
        "audio",
        None,
    ],
)
@pytest.mark.parametrize("rate_hz", [None, 48_000])
def test_what_is_no_audio_is_refused_with_what_would_be(wrong, rate_hz):
    with pytest.raises(InvalidAudio) as refused:
        AudioInput().convert(wrong, rate_hz)
    assert isinstance(refused.value, ValueError)
    for allowed in ("int16", "float32", "float64", "(n_samples,)", "(n_samples, 2)"):
        assert allowed in refused.value.allowed


@pytest.mark.parametrize("rate_hz", [0, -1, 999, 768_001, 44_100.0, "48000", True, float("nan"), 10**400])
def test_a_rate_that_is_none_is_refused(rate_hz):
    with pytest.raises(InvalidAudio, match="samples per second"):
        AudioInput().convert(np.zeros(4, np.int16), rate_hz)


def test_a_format_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError):
        AudioInput("mp3")


def test_an_array_that_was_converted_may_be_used_again_at_once():
    array = np.ones(4, np.int16)
    (piece,) = AudioInput().convert(array)
    array[:] = 7
    assert samples_of([piece]) == [1, 1, 1, 1]


# ------------------------------------------------------------------------------------------------------------ bytes


@given(st.lists(st.binary(max_size=9), max_size=20))
def test_bytes_come_out_as_they_are_in_whole_samples_wherever_they_were_cut(chunks):
    source = AudioInput()
    pieces = [piece for chunk in chunks for piece in source.convert(chunk)]
    whole = b"".join(chunks)

    assert b"".join(pieces) == whole[: len(whole) & ~1]
    assert all(len(piece) % 2 == 0 and piece for piece in pieces)


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_kind_of_bytes_will_do(kind):
    assert AudioInput().convert(kind(b"\x01\x00\x02\x00")) == (b"\x01\x00\x02\x00",)


def test_a_byte_of_g711_is_a_sample_so_none_waits():
    assert AudioInput("g711_ulaw").convert(b"\x01\x02\x03") == (b"\x01\x02\x03",)


def test_an_odd_byte_does_not_turn_an_array_that_follows_into_noise():
    source = AudioInput()
    assert source.convert(b"\x01") == ()
    assert samples_of(source.convert(np.array([5], np.int16))) == [5]
    assert source.convert(b"\x06\x00") == (b"\x06\x00",)


@pytest.mark.parametrize(("before", "after"), [(None, 16_000), (16_000, None), (16_000, 8_000)])
def test_an_odd_byte_does_not_turn_bytes_of_another_rate_into_noise(before, after):
    source, other = AudioInput(), AudioInput()
    source.convert(b"\x01", before)
    other.convert(b"", before)
    said = (tone(after or 24_000) * 20_000).astype("<i2").tobytes()
    assert source.convert(said, after) + source.finish() == other.convert(said, after) + other.finish()


@pytest.mark.parametrize("audio_format", FORMATS)
def test_bytes_of_the_session_s_own_format_come_behind_the_end_of_what_was_resampled(audio_format):
    source, other = AudioInput(audio_format), AudioInput(audio_format)
    said = tone(16_000)
    before = b"".join(source.convert(said, 16_000))
    whole = b"".join((*other.convert(said, 16_000), *other.finish()))
    assert len(before) < len(whole)
    assert before + b"".join(source.convert(b"\x11\x22")) == whole + b"\x11\x22"
    assert source.finish() == ()


def test_an_odd_byte_waits_for_bytes_of_its_rate_however_that_is_said():
    source = AudioInput()
    assert source.convert(b"\x01", 24_000) == ()
    assert source.convert(b"\x02") == (b"\x01\x02",)


def test_an_odd_byte_of_pcm_is_no_byte_of_g711():
    source = AudioInput("g711_ulaw")
    source.convert(b"\x01", 8_000)
    assert source.convert(b"\xff\xff\xff") == (b"\xff\xff\xff",)
    assert source.convert(b"\x00\x40", 8_000) == (g711.encode(np.array([0x4000], np.int16), "g711_ulaw"),)


@pytest.mark.parametrize("forget", [AudioInput.finish, AudioInput.clear])
def test_an_odd_byte_is_forgotten_when_the_stream_ends(forget):
    source = AudioInput()
    source.convert(b"\x01")
    assert not forget(source)
    assert source.convert(b"\x06\x00") == (b"\x06\x00",)


# ---------------------------------------------------------------------------------------------------------- G.711


@pytest.mark.parametrize("law", FORMATS[1:])
def test_samples_become_g711_at_8_khz(law):
    array = np.arange(-32768, 32768, dtype=np.int16)
    assert AudioInput(law).convert(array) == (g711.encode(array, law),)
    assert AudioInput(law).convert(array, 8_000) == (g711.encode(array, law),)


@pytest.mark.parametrize("law", FORMATS[1:])
def test_a_microphone_at_48_khz_speaks_g711(law):
    source = AudioInput(law)
    pieces = [*source.convert(tone(48_000), 48_000), *source.finish()]
    heard = g711.decode(b"".join(pieces), law) / 32767.0

    assert abs(len(heard) - 4_000) <= 1
    assert np.abs(heard[400:3600] - tone(8_000)[400:3600]).max() < 0.03  # as coarse as G.711 is


# ----------------------------------------------------------------------------------------------------------- rates


@pytest.mark.parametrize("kind", ["int16", "float32", "float64", "stereo", "bytes"])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
def test_any_kind_of_audio_at_any_rate_arrives_at_24_khz_in_chunks_as_in_one(kind, rate_hz):
    def spelled(signal):
        pcm = np.rint(signal * 32767).astype("<i2")
        return {
            "int16": pcm,
            "float32": signal.astype(np.float32),
            "float64": signal,
            "stereo": np.stack([signal, signal], axis=1).astype(np.float32),
            "bytes": pcm.tobytes(),
        }[kind]

    def sent(chunks):
        source = AudioInput()
        pieces = [piece for chunk in chunks for piece in source.convert(chunk, rate_hz)]
        return np.array(samples_of([*pieces, *source.finish()]))

    signal = tone(rate_hz)
    audio = spelled(signal)
    size = 333  # odd, so that bytes are cut in the middle of a sample
    in_one = sent([audio])
    in_chunks = sent([audio[at : at + size] for at in range(0, len(audio), size)])

    assert np.array_equal(in_one, in_chunks)
    n = min(len(in_one), 12_000)
    assert abs(len(in_one) - 12_000) <= 1
    assert np.abs(in_one[:n] - tone(24_000)[:n] * 32767)[1200:-1200].max() < 60


def test_a_chunk_that_the_filter_keeps_gives_no_empty_piece():
    source = AudioInput()
    assert source.convert(np.ones(1, np.int16), 48_000) == ()
    assert all(source.finish())
    assert source.finish() == ()


def test_the_rest_of_one_rate_is_said_before_another_begins():
    source, alone = AudioInput(), AudioInput()
    pieces = [*source.convert(tone(48_000), 48_000), *source.convert(np.full(5, 77, np.int16))]
    expected = [*alone.convert(tone(48_000), 48_000), *alone.finish()]

    assert samples_of(pieces) == [*samples_of(expected), *[77] * 5]
    both = [*source.convert(tone(16_000), 16_000), *source.convert(tone(48_000), 48_000), *source.finish()]
    assert abs(len(samples_of(both)) - 24_000) <= 2


def test_what_was_cleared_is_not_said():
    source, fresh = AudioInput(), AudioInput()
    source.convert(tone(48_000), 48_000)
    source.clear()
    assert source.finish() == ()
    assert source.convert(tone(16_000), 16_000) == fresh.convert(tone(16_000), 16_000)


def test_loud_noise_is_clipped_and_never_wraps_around():
    noise = np.where(np.random.default_rng(1).random(9_600) < 0.5, -32768, 32767).astype(np.int16)
    source = AudioInput()
    sent = np.array(samples_of([*source.convert(noise, 48_000), *source.finish()]))
    reference = AudioInput()
    quiet = [*reference.convert((noise // 4).astype(np.int16), 48_000), *reference.finish()]

    assert np.abs(sent - np.clip(4 * np.array(samples_of(quiet)), -32768, 32767)).max() < 16


def test_without_soxr_only_what_needs_no_filter_can_be_sent(monkeypatch):
    monkeypatch.setitem(sys.modules, "soxr", None)
    source = AudioInput()
    with pytest.raises(MissingExtra, match="48000"):
        source.convert(np.zeros(9, np.float32), 48_000)
    assert samples_of(source.convert(np.array([[0.5, 0.5]], np.float32), 24_000)) == [16384]


# ---------------------------------------------------------------------------------------------------------- the split


@pytest.mark.parametrize("audio_format", FORMATS)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_every_append_stays_under_15_mib_and_no_sample_is_cut(audio_format, as_bytes):
    samples = np.arange(17 * MIB // (2 if audio_format == "pcm16" else 1), dtype=np.uint32).astype(np.int16)
    expected = samples.tobytes() if audio_format == "pcm16" else g711.encode(samples, audio_format)
    pieces = AudioInput(audio_format).convert(expected if as_bytes else samples)

    assert len(pieces) == 2
    for piece in pieces:
        assert len(piece) % 2 == 0
        assert len(encode_client_event(InputAudioBufferAppend(audio=piece, event_id="e" * 64))) < 15 * MIB
    assert b"".join(pieces) == expected


def test_the_first_sample_of_the_wire_is_the_first_sample_of_the_array():
    (piece,) = AudioInput().convert(np.array([258], np.int16))
    assert b64encode(piece) in encode_client_event(InputAudioBufferAppend(audio=piece))
    assert piece == b"\x02\x01"


def test_floats_beyond_full_scale_are_clipped_before_the_filter_as_they_are_without_one():
    loud = tone(16_000) * 6
    source, other = AudioInput(), AudioInput()
    assert source.convert(loud, 16_000) == other.convert(loud.clip(-1.0, 1.0), 16_000)

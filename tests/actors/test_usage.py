"""What a session cost is the sum of what its responses and transcriptions cost, detail by detail."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from trunkline.actors.session_log import TokensUsed, TranscriptionUsed
from trunkline.actors.usage import UsageMeter, as_mapping
from trunkline.gateway.wire_types import CachedTokens, InputTokens, OutputTokens, TranscriptionUsage, Usage

count = st.integers(0, 10_000)
cached = st.builds(CachedTokens, audio_tokens=count, image_tokens=count, text_tokens=count)
inputs = st.builds(
    InputTokens,
    audio_tokens=count,
    image_tokens=count,
    text_tokens=count,
    cached_tokens=count,
    cached_tokens_details=st.none() | cached,
)
outputs = st.builds(OutputTokens, audio_tokens=count, text_tokens=count)
usages = st.builds(
    Usage,
    total_tokens=count,
    input_tokens=count,
    output_tokens=count,
    input_token_details=st.none() | inputs,
    output_token_details=st.none() | outputs,
)


def leaves(value, path=()):
    for name, inner in msgspec.to_builtins(value).items() if not isinstance(value, dict) else value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, (*path, name))
        elif inner is not None:
            yield (*path, name), inner


@given(st.lists(usages, max_size=8))
def test_every_count_is_the_sum_of_that_count_over_all_responses(used):
    meter = UsageMeter()
    for usage in used:
        meter.apply(TokensUsed(usage))
    expected: dict[tuple[str, ...], int] = {}
    for usage in used:
        for path, n in leaves(usage):
            expected[path] = expected.get(path, 0) + n
    total = dict(leaves(meter.read().tokens))
    assert {path: n for path, n in total.items() if n} == {path: n for path, n in expected.items() if n}
    assert meter.read().n_responses == len(used)


def test_transcriptions_are_counted_beside_the_responses_in_tokens_or_in_seconds():
    meter = UsageMeter()
    tokens = TranscriptionUsage(type="tokens", total_tokens=7, input_tokens=5, output_tokens=2)
    meter.apply(TranscriptionUsed(tokens))
    meter.apply(TranscriptionUsed(TranscriptionUsage(type="duration", seconds=1.5)))
    used = meter.read()
    assert (used.n_responses, used.tokens.total_tokens) == (0, 0)
    spent = used.transcription
    assert (spent.n_transcriptions, spent.total_tokens, spent.input_tokens, spent.output_tokens) == (
        2,
        7,
        5,
        2,
    )
    assert spent.seconds == 1.5


def test_an_event_s_usage_has_every_count_where_the_wire_leaves_zeros_out():
    usage = msgspec.json.decode(b'{"total_tokens": 3, "input_token_details": {"text_tokens": 3}}', type=Usage)
    mapping = as_mapping(usage)
    assert mapping["total_tokens"] == 3
    assert mapping["output_tokens"] == 0
    assert mapping["input_token_details"]["text_tokens"] == 3
    assert mapping["input_token_details"]["audio_tokens"] == 0
    assert mapping["output_token_details"] is None
    assert as_mapping(None) is None

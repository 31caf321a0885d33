"""The three frame mixes of the benchmarks, as ready-made WebSocket bytes: text 164 B, mix 1.3 to 1.6 KB, audio 20 KB."""

import base64
import json
import random
import struct

RESPONSE = "resp_bench1"
ITEM = "item_bench1"
END = "the-end-of-the-flood"
MIXES = ("text", "mix", "audio")


def frame(payload: bytes) -> bytes:
    """Return one unmasked text frame."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x81, size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x81, 126, size)
    else:
        head = struct.pack("!BBQ", 0x81, 127, size)
    return head + payload


def event(type: str, **fields: object) -> bytes:
    """Return one server event as a frame."""
    return frame(json.dumps({"type": type, "event_id": "event_1", **fields}, separators=(",", ":")).encode())


def text_delta(delta: str) -> bytes:
    """Return a text delta; the benchmark's short frame, and the marker of its end."""
    where = {"response_id": RESPONSE, "item_id": ITEM, "output_index": 0, "content_index": 0}
    return event("response.output_text.delta", **where, delta=delta)


def audio_delta() -> bytes:
    """Return 15 KB of PCM16 as a 20 KB frame."""
    where = {"response_id": RESPONSE, "item_id": ITEM, "output_index": 0, "content_index": 0}
    pcm = random.Random(1).randbytes(14_976)
    return event("response.output_audio.delta", **where, delta=base64.b64encode(pcm).decode())


def mixed() -> list[bytes]:
    """Return what else a session receives: items, finals, transcriptions with log probabilities, rate limits."""
    words = "the quick brown fox jumps over the lazy dog and runs away " * 16
    logprobs = [
        {"token": f"word{n}", "logprob": -0.125 * n, "bytes": [119, 111, 114, 100]} for n in range(16)
    ]
    item = {
        "id": "item_2",
        "object": "realtime.item",
        "type": "message",
        "status": "completed",
        "role": "assistant",
    }
    content = [{"type": "output_text", "text": words + words[:300]}]
    usage = {
        "total_tokens": 300,
        "input_tokens": 200,
        "output_tokens": 100,
        "input_token_details": {"text_tokens": 120, "audio_tokens": 80, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 40, "audio_tokens": 60},
    }
    done = {
        "id": "resp_other",
        "object": "realtime.response",
        "status": "completed",
        "output": [item],
        "usage": usage,
    }
    call = {
        "response_id": "resp_other",
        "item_id": "item_3",
        "output_index": 0,
        "call_id": "call_1",
        "name": "look",
    }
    return [
        event("conversation.item.done", item={**item, "content": content}, previous_item_id="item_1"),
        event("response.done", response={**done, "metadata": {"note": words}}),
        event(
            "conversation.item.input_audio_transcription.completed",
            item_id="item_4",
            content_index=0,
            transcript=words[:400],
            logprobs=logprobs,
            usage={"type": "duration", "seconds": 3.2},
        ),
        event(
            "response.function_call_arguments.done",
            **call,
            arguments=json.dumps({"query": words + words[:150]}),
        ),
    ]


def flood(mix: str) -> tuple[bytes, int]:
    """Return about a megabyte of frames and how many they are."""
    if mix == "text":
        return text_delta(" word") * 4000, 4000
    if mix == "audio":
        return audio_delta() * 50, 50
    some = mixed()
    return b"".join(some) * 150, 150 * len(some)


def average_size(mix: str) -> int:
    """Return the bytes per frame."""
    data, count = flood(mix)
    return len(data) // count

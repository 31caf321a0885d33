"""The client's side of the GA protocol as tables of shapes: what is accepted, field by field. Pure.

Source: protocol.md A.1, A.3, A.4.
"""

from __future__ import annotations

from .client_error import invalid
from .shapes import (
    Shape,
    anything,
    by_json_type,
    flag,
    free_object,
    list_of,
    mapping_of,
    nullable,
    number,
    one_of,
    record,
    tagged,
    text,
)

MAX_OUTPUT_TOKENS = 4096
MAX_AUDIO_CHARS = 20 * 1024 * 1024  # 15 MiB of audio, as base64


def _modalities(value: object, path: str) -> None:
    # Exactly one of them in GA: audio always brings its transcript along.
    list_of(one_of("text", "audio"))(value, path)
    if value not in (["text"], ["audio"]):
        raise invalid(
            path, f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        )


_format = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": number(24000, 24000, whole=True)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_voice = by_json_type(str=text(1), dict=record({"id": text(1)}, required=("id",)))
_milliseconds = number(0, 30_000)
_turn_detection = tagged(
    "type",
    {
        "server_vad": record(
            {
                "type": anything,
                "create_response": flag,
                "interrupt_response": flag,
                "idle_timeout_ms": nullable(_milliseconds),
                "prefix_padding_ms": _milliseconds,
                "silence_duration_ms": _milliseconds,
                "threshold": number(0, 1),
            }
        ),
        "semantic_vad": record(
            {
                "type": anything,
                "create_response": flag,
                "interrupt_response": flag,
                "eagerness": one_of("low", "medium", "high", "auto"),
            }
        ),
    },
)
_transcription = record(
    {
        "model": text(1),
        "language": nullable(text()),
        "languages": list_of(text()),
        "prompt": nullable(text()),
        "keywords": list_of(text()),
        "delay": one_of("minimal", "low", "medium", "high", "xhigh"),
    }
)
_noise_reduction = record(
    {"type": one_of("near_field", "far_field"), "strength": number(0, 1)}, required=("type",)
)
_audio_input = record(
    {
        "format": _format,
        "noise_reduction": nullable(_noise_reduction),
        "transcription": nullable(_transcription),
        "turn_detection": nullable(_turn_detection),
    }
)
_audio_output = record({"format": _format, "speed": number(0.25, 1.5), "voice": _voice})
_function_tool = record(
    {
        "type": anything,
        "name": text(1, 64),
        "description": nullable(text()),
        "parameters": nullable(free_object),
    },
    required=("name",),
)
_tools = list_of(tagged("type", {"function": _function_tool, "mcp": free_object}))
_tool_choice = by_json_type(
    str=one_of("none", "auto", "required"),
    dict=tagged(
        "type",
        {
            "function": record({"type": anything, "name": text(1)}, required=("name",)),
            "mcp": record({"type": anything, "server_label": text(1), "name": nullable(text())}),
        },
    ),
)
_max_output_tokens = by_json_type(str=one_of("inf"), int=number(1, MAX_OUTPUT_TOKENS, whole=True))
_reasoning = nullable(record({"effort": one_of("minimal", "low", "medium", "high", "xhigh")}))
_prompt = nullable(
    record({"id": text(1), "variables": nullable(free_object), "version": nullable(text())}, required=("id",))
)
_truncation = by_json_type(
    str=one_of("auto", "disabled"),
    dict=record(
        {
            "type": one_of("retention_ratio"),
            "retention_ratio": number(0, 1),
            "token_limits": record({"post_instructions": number(0, 1e9, whole=True)}),
        },
        required=("type", "retention_ratio"),
    ),
)
_include = nullable(list_of(one_of("item.input_audio_transcription.logprobs")))
_tracing = nullable(
    by_json_type(
        str=one_of("auto"),
        dict=record({"group_id": text(), "metadata": free_object, "workflow_name": text()}),
    )
)
_metadata = nullable(mapping_of(text(0, 512), max_items=16, max_key_length=64))

SESSION: Shape = tagged(
    "type",
    {
        "realtime": record(
            {
                "type": anything,
                "audio": record({"input": _audio_input, "output": _audio_output}),
                "include": _include,
                "instructions": text(),
                "max_output_tokens": _max_output_tokens,
                "model": text(1),
                "output_modalities": _modalities,
                "parallel_tool_calls": flag,
                "prompt": _prompt,
                "reasoning": _reasoning,
                "tool_choice": _tool_choice,
                "tools": _tools,
                "tracing": _tracing,
                "truncation": _truncation,
            }
        )
    },
)
"""What `session.update` may carry (a realtime session; transcription sessions are another endpoint's)."""

_input_text = record({"type": anything, "text": text()}, required=("text",))
_system_content = list_of(tagged("type", {"input_text": _input_text}))
_user_content = list_of(
    tagged(
        "type",
        {
            "input_text": _input_text,
            "input_audio": record(
                {"type": anything, "audio": text(), "transcript": nullable(text())}, required=("audio",)
            ),
            "input_image": record(
                {"type": anything, "image_url": text(1), "detail": one_of("auto", "low", "high")},
                required=("image_url",),
            ),
        },
    )
)
_assistant_content = list_of(
    # The service cannot be handed assistant audio: a replayed turn comes back as text (protocol.md A.8).
    tagged("type", {"output_text": record({"type": anything, "text": text()}, required=("text",))})
)
_item_common: dict[str, Shape] = {
    "id": text(1, 64),
    "type": anything,
    "object": one_of("realtime.item"),
    "status": one_of("completed", "incomplete", "in_progress"),
}


def _message(content: Shape) -> Shape:
    return record({**_item_common, "role": anything, "content": content}, required=("content",))


_items: dict[str, Shape] = {
    "message": tagged(
        "role",
        {
            "system": _message(_system_content),
            "user": _message(_user_content),
            "assistant": _message(_assistant_content),
        },
    ),
    "function_call": record(
        {**_item_common, "call_id": text(1), "name": text(1), "arguments": text()},
        required=("name", "arguments"),
    ),
    "function_call_output": record(
        {**_item_common, "call_id": text(1), "output": text()}, required=("call_id", "output")
    ),
    "mcp_approval_response": free_object,
}
ITEM: Shape = tagged("type", _items)
"""What `conversation.item.create` may carry."""

_item_reference = record({"type": anything, "id": text(1)}, required=("id",))

_response = record(
    {
        "audio": record({"output": record({"format": _format, "voice": _voice})}),
        "conversation": text(1),
        "input": nullable(list_of(tagged("type", {**_items, "item_reference": _item_reference}))),
        "instructions": nullable(text()),
        "max_output_tokens": _max_output_tokens,
        "metadata": _metadata,
        "output_modalities": _modalities,
        "parallel_tool_calls": flag,
        "prompt": _prompt,
        "reasoning": _reasoning,
        "tool_choice": _tool_choice,
        "tools": _tools,
    }
)


def _event(required: tuple[str, ...] = (), **fields: Shape) -> Shape:
    return record({"type": anything, "event_id": nullable(text(0, 512)), **fields}, required=required)


_item_id = text(1)
_audio_ms = number(0, 1e9)

CLIENT_EVENT: Shape = tagged(
    "type",
    {
        "session.update": _event(("session",), session=SESSION),
        "input_audio_buffer.append": _event(("audio",), audio=text(0, MAX_AUDIO_CHARS)),
        "input_audio_buffer.commit": _event(),
        "input_audio_buffer.clear": _event(),
        "output_audio_buffer.clear": _event(),
        "conversation.item.create": _event(("item",), item=ITEM, previous_item_id=nullable(_item_id)),
        "conversation.item.retrieve": _event(("item_id",), item_id=_item_id),
        "conversation.item.truncate": _event(
            ("item_id", "content_index", "audio_end_ms"),
            item_id=_item_id,
            content_index=number(0, 1e6, whole=True),
            audio_end_ms=_audio_ms,
        ),
        "conversation.item.delete": _event(("item_id",), item_id=_item_id),
        "response.create": _event(response=nullable(_response)),
        "response.cancel": _event(response_id=nullable(text(1))),
    },
)
"""The 11 client events, by `type`."""

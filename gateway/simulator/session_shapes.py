"""A session's settings as shapes, those of a response with them: what is accepted, field by field. Pure.

Source: protocol.md A.3 (session, tools, `response.create`), A.4.
"""

from __future__ import annotations

from typing import Any

from .client_error import invalid, missing
from .item_shapes import INPUT_ITEM
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
MAX_TOOLS = 128


def _modalities(value: object, path: str) -> None:
    # Exactly one of them in GA: audio always brings its transcript along.
    list_of(one_of("text", "audio"))(value, path)
    if value not in (["text"], ["audio"]):
        raise invalid(
            path, f"Invalid modalities: {value}. Supported combinations are: ['text'] and ['audio']."
        )


# -- audio -----------------------------------------------------------------------------------------------------------

_format = tagged(
    "type",
    {
        "audio/pcm": record({"type": anything, "rate": number(24000, 24000, whole=True)}),
        "audio/pcmu": record({"type": anything}),
        "audio/pcma": record({"type": anything}),
    },
)
_voice = by_json_type(str=text(1), dict=record({"id": text(1)}, required=("id",)))
_milliseconds = number(0, 30_000, whole=True)
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
_noise_reduction = record({"type": one_of("near_field", "far_field"), "strength": number(0, 1)})
_audio_input = record(
    {
        "format": _format,
        "noise_reduction": nullable(_noise_reduction),
        "transcription": nullable(_transcription),
        "turn_detection": nullable(_turn_detection),
    }
)
_audio_output = record({"format": _format, "speed": number(0.25, 1.5), "voice": _voice})

# -- tools -----------------------------------------------------------------------------------------------------------

_function_tool = record(
    {
        "type": anything,
        "name": text(1, 64),
        "description": nullable(text()),
        "parameters": nullable(free_object),
    },
    required=("name",),
)
_tool_filter = record({"read_only": flag, "tool_names": list_of(text(1))})
_mcp_fields = record(
    {
        "type": anything,
        "server_label": text(1, 64),
        "allowed_callers": nullable(list_of(one_of("direct", "programmatic"))),
        "allowed_tools": nullable(by_json_type(list=list_of(text(1)), dict=_tool_filter)),
        "authorization": text(),
        "connector_id": one_of(
            "connector_dropbox",
            "connector_gmail",
            "connector_googlecalendar",
            "connector_googledrive",
            "connector_microsoftteams",
            "connector_outlookcalendar",
            "connector_outlookemail",
            "connector_sharepoint",
        ),
        "defer_loading": flag,
        "headers": nullable(mapping_of(text(), max_items=64, max_key_length=256)),
        "require_approval": nullable(
            by_json_type(
                str=one_of("always", "never"),
                dict=record({"always": _tool_filter, "never": _tool_filter}),
            )
        ),
        "server_description": text(),
        "server_url": text(1),
        "tunnel_id": text(1),
    },
    required=("server_label",),
)


def _mcp_tool(value: Any, path: str) -> None:
    _mcp_fields(value, path)
    if not {"server_url", "connector_id", "tunnel_id"} & set(value):
        raise missing(f"{path}.server_url")


_tools = list_of(tagged("type", {"function": _function_tool, "mcp": _mcp_tool}), MAX_TOOLS)
_tool_choice = by_json_type(
    str=one_of("none", "auto", "required"),
    dict=tagged(
        "type",
        {
            "function": record({"type": anything, "name": text(1)}, required=("name",)),
            "mcp": record(
                {"type": anything, "server_label": text(1), "name": nullable(text(1))},
                required=("server_label",),
            ),
        },
    ),
)

# -- the model -------------------------------------------------------------------------------------------------------

_max_output_tokens = by_json_type(str=one_of("inf"), int=number(1, MAX_OUTPUT_TOKENS, whole=True))
_reasoning = nullable(record({"effort": nullable(one_of("minimal", "low", "medium", "high", "xhigh"))}))
_cache_breakpoint = record({"mode": one_of("explicit"), "ttl": one_of("30m", "12h")}, required=("mode",))
_variable = by_json_type(
    str=text(),
    dict=tagged(
        "type",
        {
            "input_text": record(
                {"type": anything, "text": text(), "prompt_cache_breakpoint": _cache_breakpoint},
                required=("text",),
            ),
            "input_image": record(
                {
                    "type": anything,
                    "detail": one_of("low", "high", "auto", "original"),
                    "file_id": nullable(text()),
                    "image_url": nullable(text()),
                    "prompt_cache_breakpoint": _cache_breakpoint,
                },
                required=("detail",),
            ),
            "input_file": record(
                {
                    "type": anything,
                    "detail": one_of("auto", "low", "high"),
                    "file_data": text(),
                    "file_id": nullable(text()),
                    "file_url": text(),
                    "filename": text(),
                    "prompt_cache_breakpoint": _cache_breakpoint,
                }
            ),
        },
    ),
)
_prompt = nullable(
    record(
        {
            "id": text(1),
            "variables": nullable(mapping_of(_variable, max_items=64, max_key_length=256)),
            "version": nullable(text()),
        },
        required=("id",),
    )
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

# -- what events carry -----------------------------------------------------------------------------------------------

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
        ),
        "transcription": record(
            {"type": anything, "audio": record({"input": _audio_input}), "include": _include}
        ),
    },
)
"""What `session.update` may carry."""

RESPONSE: Shape = record(
    {
        "audio": record({"output": record({"format": _format, "voice": _voice})}),
        "conversation": text(1),
        "input": nullable(list_of(INPUT_ITEM)),
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
"""What `response.create` may carry."""

"""What a `response.create` asks for, on top of the session's settings. Pure.

Source: protocol event `response.create`, protocol.md A.3 (`RealtimeResponseCreateParams`).
"""

from __future__ import annotations

import copy
from typing import Any

from .client_error import invalid
from .conversation import Conversation
from .item_list import Item, ItemList
from .response_run import Options
from .session_settings import Settings, check_tool_choice, voice_is_locked, whole_format
from .token_count import Context

Request = dict[str, Any]


def stays_outside(request: Request) -> bool:
    """Tell whether the response is one outside of the conversation (`conversation: "none"`)."""
    conversation = request.get("conversation", "auto")
    if conversation not in ("auto", "none"):
        raise invalid(
            "response.conversation",
            f"Invalid value: '{conversation}'. Supported values are: 'auto' and 'none'.",
        )
    return bool(conversation == "none")


def check_allowed(settings: Settings, request: Request, *, has_spoken: bool) -> None:
    """Refuse what a well-formed request may not ask for now.

    Raises:
        ClientError: The session only transcribes, the voice is locked, or no tool fits the tool choice: the client's fault.
    """
    if settings["type"] != "realtime":
        raise invalid("type", "Responses are not supported in a transcription session.")
    voice = request.get("audio", {}).get("output", {}).get("voice")
    if has_spoken and voice not in (None, settings["audio"]["output"]["voice"]):
        raise voice_is_locked("response")
    merged = {**settings, **request}
    check_tool_choice(merged["tool_choice"], merged["tools"], "response")


def options_for(
    settings: Settings,
    request: Request,
    conversation_id: str | None,
    delay_s: float,
    context: Context,
    seen: Context,
    audio_pace: float,
) -> Options:
    """Return the response's options: the session's, overridden by the request's."""
    merged = {**settings, **request}
    output = settings["audio"]["output"]
    asked = request.get("audio", {}).get("output", {})
    return Options(
        output_modalities=list(merged["output_modalities"]),
        audio_output={
            "format": whole_format(asked.get("format", output["format"])),
            "voice": asked.get("voice", output["voice"]),
        },
        max_output_tokens=merged["max_output_tokens"],
        metadata=request.get("metadata"),
        conversation_id=conversation_id,
        delay_s=delay_s,
        context=context,
        seen=seen,
        speed=output["speed"],
        audio_pace=audio_pace,
    )


def conversation_for(settings: Settings, request: Request, items: ItemList, response_id: str) -> Conversation:
    """Return what the brain is shown: a snapshot, with the request's overrides applied.

    Raises:
        ClientError: `input` refers to an item that does not exist: the client's fault.
    """
    merged = {**settings, **request}
    given = request.get("input")
    seen = list(items) if given is None else [_resolved(item, i, items) for i, item in enumerate(given)]
    instructions = request.get("instructions")
    return Conversation(
        items=copy.deepcopy(seen),
        instructions=settings["instructions"] if instructions is None else instructions,
        tools=merged["tools"],
        tool_choice=merged["tool_choice"],
        output_modalities=merged["output_modalities"],
        metadata=request.get("metadata"),
        session_id=settings["id"],
        response_id=response_id,
        out_of_band=stays_outside(request),
        model=settings["model"],
        input_format=settings["audio"]["input"]["format"]["type"],
        parallel_tool_calls=merged["parallel_tool_calls"],
    )


def _resolved(item: Item, index: int, items: ItemList) -> Item:
    if item["type"] != "item_reference":
        return item
    if item["id"] not in items:
        raise invalid(f"response.input[{index}].id", f"Item with id '{item['id']}' does not exist.")
    return items.get(item["id"], "invalid_value")

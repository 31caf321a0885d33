"""What one response does otherwise than its session, vendor-neutral and checked when it is built. Pure.

Source: RealtimeResponseCreateParams; protocol reference A.3, A.4 and A.8 (responses).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, cast

import msgspec
from msgspec import UNSET

from . import checks, shared_settings
from .client_events import ResponseParams
from .errors import ConfigError
from .hosted import Prompt
from .mcp import Mcp
from .session_update import format_on_the_wire, prompt_on_the_wire, tool_choice_on_the_wire, tools_on_the_wire
from .shared_settings import EFFORTS, FORMATS, AnyToolChoice, AudioFormatName, Modality, ReasoningEffort, Tool
from .tool_descriptor import ToolDescriptor
from .wire_types import AudioFormat, AudioOutput, Item, ResponseAudio, VoiceId

MAX_METADATA_PAIRS: Final = 15
"""One less than the protocol's 16: the session marks its own responses with one."""


@checks.settings()
@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseOptions:
    """The settings of one response. None leaves a setting as the session has it. Wrong ones raise `ConfigError` here.

    Attributes:
        instructions: instead of the session's.
        modalities: what the model answers with this time.
        voice: of this response; it must be the session's once that has spoken.
        output_audio_format: of this response.
        tools: what the model may call this time; () for none.
        mcp_servers: the remote MCP servers of this time; given with or without ``tools``, the two replace all of the session's.
        tool_choice: of this response.
        parallel_tool_calls: of this response.
        max_output_tokens: 1 to 4096, or "inf".
        reasoning_effort: for models that reason.
        prompt: a stored prompt.
        metadata: at most 15 pairs of text (keys of 64, values of 512 characters), which come back with the response.
        conversation: "none" keeps the response out of the conversation, and there may be any number of these at once; "auto" is
            the provider's default.
        input: the context of this response instead of the conversation's: items, made by ``items``, also references to items of the
            conversation (``item_reference``); () for none at all.
        tool_descriptors: what ``tools`` say of themselves (derived); None where they are the session's.
    """

    instructions: str | None = None
    modalities: Sequence[Modality] | None = None
    voice: str | VoiceId | None = None
    output_audio_format: AudioFormatName | None = None
    tools: Sequence[Tool] | None = None
    mcp_servers: Sequence[Mcp] | None = None
    tool_choice: AnyToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | Literal["inf"] | None = None
    reasoning_effort: ReasoningEffort | None = None
    prompt: Prompt | None = None
    metadata: Mapping[str, str] | None = field(default=None, hash=False)
    conversation: Literal["auto", "none"] | None = None
    input: Sequence[Item] | None = None
    tool_descriptors: tuple[ToolDescriptor, ...] | None = field(
        init=False, repr=False, compare=False, default=None
    )

    def __post_init__(self) -> None:
        self._check_speech()
        self._check_tools()
        self._check_generation()
        if self.metadata is not None:
            self._set("metadata", _checked_metadata(self.metadata))
        if self.conversation is not None:
            self._set("conversation", checks.one_of("conversation", self.conversation, ("auto", "none")))
        if self.input is not None:
            self._set("input", _checked_input(self.input))

    @property
    def out_of_band(self) -> bool:
        """Whether the response stays out of the conversation."""
        return self.conversation == "none"

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _check_speech(self) -> None:
        if self.instructions is not None:
            self._set("instructions", checks.text("instructions", self.instructions, empty=True))
        if self.modalities is not None:
            self._set("modalities", shared_settings.modalities("modalities", self.modalities))
        if self.voice is not None:
            self._set("voice", shared_settings.voice("voice", self.voice))
        if self.output_audio_format is not None:
            name = "output_audio_format"
            self._set(name, checks.one_of(name, self.output_audio_format, FORMATS))

    def _check_tools(self) -> None:
        names = labels = None
        if self.tools is not None:
            tools, described = shared_settings.tools("tools", self.tools)
            self._set("tools", tools)
            self._set("tool_descriptors", described)
            names, labels = [tool.name for tool in described], []
        if self.mcp_servers is not None:
            servers = shared_settings.mcp_servers("mcp_servers", self.mcp_servers)
            self._set("mcp_servers", servers)
            names, labels = names or [], [server.server_label for server in servers]
        if self.tool_choice is not None:
            choice = shared_settings.tool_choice("tool_choice", self.tool_choice, names, labels)
            self._set("tool_choice", choice)
        if self.parallel_tool_calls is not None:
            checks.flag("parallel_tool_calls", self.parallel_tool_calls)

    def _check_generation(self) -> None:
        if self.max_output_tokens is not None:
            limit = shared_settings.output_tokens("max_output_tokens", self.max_output_tokens, "")
            self._set("max_output_tokens", limit)
        if self.reasoning_effort is not None:
            self._set("reasoning_effort", checks.one_of("reasoning_effort", self.reasoning_effort, EFFORTS))
        if self.prompt is not None:
            shared_settings.prompt("prompt", self.prompt)


def response_params(options: ResponseOptions) -> ResponseParams:
    """Return the options in the words of the wire, for ``response.create``; what is None is left out."""
    replaced = options.tools is not None or options.mcp_servers is not None
    offered: list[ToolDescriptor | Mcp] = [*(options.tool_descriptors or ()), *(options.mcp_servers or ())]
    given: dict[str, Any] = {
        "conversation": options.conversation,
        "metadata": None if options.metadata is None else dict(options.metadata),
        "input": options.input,
        "instructions": options.instructions,
        "output_modalities": options.modalities and shared_settings.output_modalities(options.modalities),
        "audio": _audio(options),
        "max_output_tokens": options.max_output_tokens,
        "tools": tuple(tools_on_the_wire(offered)) if replaced else None,
        "tool_choice": options.tool_choice and tool_choice_on_the_wire(options.tool_choice),
        "parallel_tool_calls": options.parallel_tool_calls,
        "reasoning": options.reasoning_effort and {"effort": options.reasoning_effort},
        "prompt": options.prompt and prompt_on_the_wire(options.prompt),
    }
    return ResponseParams(**{name: value for name, value in given.items() if value is not None})


def marked(params: ResponseParams, key: str, value: str) -> ResponseParams:
    """Return parameters with one more pair of metadata, by which their response is recognised."""
    metadata = {} if params.metadata is UNSET or params.metadata is None else dict(params.metadata)
    return msgspec.structs.replace(params, metadata={**metadata, key: value})


def _audio(options: ResponseOptions) -> ResponseAudio | None:
    if options.voice is None and options.output_audio_format is None:
        return None
    audio_format = None
    if options.output_audio_format is not None:
        audio_format = AudioFormat(**format_on_the_wire(options.output_audio_format))
    return ResponseAudio(output=AudioOutput(format=audio_format, voice=options.voice))


def _checked_metadata(metadata: object) -> dict[str, str]:
    allowed = (
        f"at most {MAX_METADATA_PAIRS} pairs of text, keys of 1 to 64 and values of at most 512 characters"
    )
    if not isinstance(metadata, Mapping) or len(metadata) > MAX_METADATA_PAIRS:
        raise ConfigError("metadata", metadata, allowed)
    checked: dict[str, str] = {}
    for key, value in metadata.items():
        name = checks.text("metadata", key, what=allowed)
        if len(name) > 64:
            raise ConfigError("metadata", name, allowed)
        said = checks.text(f"metadata[{name}]", value, empty=True, what=allowed)
        if len(said) > 512:
            raise ConfigError(f"metadata[{name}]", said, allowed)
        checked[name] = said
    return checked


def _checked_input(items: object) -> tuple[Item, ...]:
    given = checks.items("input", items, "items, such as user_text(...) and item_reference(...)")
    for i, item in enumerate(given):
        if not isinstance(item, Item) or not item.type:
            raise ConfigError(f"input[{i}]", item, "an item, such as user_text(...) or item_reference(...)")
    return cast(tuple[Item, ...], given)

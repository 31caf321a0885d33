"""`Config`: what a session should be, vendor-neutral and checked when it is built. Pure.

``session_update`` turns it into the wire's words. Whatever is None is left to the provider.
"""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final, Literal, Self, TypeAlias

from . import checks
from .errors import ConfigError
from .tool_descriptor import Described, ToolChoice, ToolDescriptor, descriptor_of
from .turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from .wire_types import VoiceId

Modality: TypeAlias = Literal["audio", "text"]
AudioFormatName: TypeAlias = Literal["pcm16", "g711_ulaw", "g711_alaw"]
OnInterrupt: TypeAlias = Literal["drop", "submit_completed_only", "submit-completed-only", "submit"]
TurnDetection: TypeAlias = Literal["server_vad", "semantic_vad", "none"] | ServerVad | SemanticVad
NoiseReduction: TypeAlias = Literal["near_field", "far_field", "none"]
ReasoningEffort: TypeAlias = Literal["minimal", "low", "medium", "high", "xhigh"]
Tool: TypeAlias = Described | ToolDescriptor

_MODALITIES: Final = ("audio", "text")
_FORMATS: Final = ("pcm16", "g711_ulaw", "g711_alaw")
_EFFORTS: Final = ("minimal", "low", "medium", "high", "xhigh")
_POLICIES: Final = ("drop", "submit_completed_only", "submit-completed-only", "submit")
_DEFAULT_VAD: Final = ServerVad()


def _no_extras() -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of a session. Wrong or contradictory ones raise `ConfigError` here, not later on the wire.

    Attributes:
        instructions: the system prompt; "" clears the provider's own.
        voice: a built-in voice by name, or ``VoiceId("voice_...")``. Fixed once the session has spoken.
        modalities: what the model answers with. Audio always brings its transcript, so ("audio", "text") and ("audio",) are one;
            ("text",) is text alone.
        input_audio_format: pcm16 is 24 kHz mono, G.711 is 8 kHz.
        output_audio_format: likewise.
        turn_detection: "server_vad", "semantic_vad", one of these with its settings, or "none" for push-to-talk and text.
        input_audio_transcription: None and True have the user's speech transcribed by the default model, because most
            applications show it; a model name or `Transcription` chooses; False turns it off.
        tools: what the model may call: tools made by ``@tool``, objects with a ``descriptor``, or descriptors.
        tool_choice: "auto", "none", "required" or ``ToolChoice(name)``.
        parallel_tool_calls: whether the model may ask for several calls at once.
        temperature: the GA protocol has none, so that any value but None is refused.
        max_response_output_tokens: 1 to 4096, or "inf".
        speed: of the speech, 0.25 to 1.5.
        noise_reduction: by how far away the microphone is; "none" switches it off.
        truncation: what to do when the context is full: "auto", "disabled" or `RetentionRatio`.
        reasoning_effort: for models that reason.
        provider_extras: anything else the provider takes, as its own session object; merged over ours field by field.
        on_interrupt: what becomes of tool calls when the user interrupts: "drop", "submit_completed_only", "submit".
        settle_dropped_calls: under "drop", send one short "cancelled" output per dropped call.
        max_tool_rounds: after how many rounds of tool calls without the user a turn is ended.
        response_timeout_s: how long to wait for a response to begin.
        connect_timeout_s: how long opening a line may take.
        close_timeout_s: how long closing the session may take.
        tool_timeout_s: how long a tool may run, unless it has a limit of its own; None for no limit.
        tool_descriptors: what ``tools`` say of themselves (derived).
    """

    instructions: str | None = None
    voice: str | VoiceId | None = None
    modalities: Sequence[Modality] = ("audio", "text")
    input_audio_format: AudioFormatName = "pcm16"
    output_audio_format: AudioFormatName = "pcm16"
    turn_detection: TurnDetection = "server_vad"
    input_audio_transcription: bool | str | Transcription | None = None
    tools: Sequence[Tool] = ()
    tool_choice: Literal["auto", "none", "required"] | ToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    temperature: None = None
    max_response_output_tokens: int | Literal["inf"] | None = None
    speed: float | None = None
    noise_reduction: NoiseReduction | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
    reasoning_effort: ReasoningEffort | None = None
    provider_extras: Mapping[str, Any] = field(default_factory=_no_extras, repr=False)
    on_interrupt: OnInterrupt = "drop"
    settle_dropped_calls: bool = False
    max_tool_rounds: int = 25
    response_timeout_s: float = 15.0
    connect_timeout_s: float = 15.0
    close_timeout_s: float = 2.0
    tool_timeout_s: float | None = None
    tool_descriptors: tuple[ToolDescriptor, ...] = field(init=False, repr=False, compare=False, default=())

    def __post_init__(self) -> None:
        self._check_text_and_audio()
        self._check_turn_detection()
        self._check_tools()
        self._check_generation()
        self._check_conduct()

    def replace(self, **overrides: Any) -> Self:
        """Return a copy with some settings changed.

        Raises:
            ConfigError: a setting does not exist or cannot be so. The fault of the caller.
        """
        known = setting_names()
        for name in overrides:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"one of {', '.join(known)}"
                raise ConfigError(name, overrides[name], f"a setting that exists: {hint}")
        return replace(self, **overrides)

    @property
    def output_modalities(self) -> tuple[Modality, ...]:
        """What the wire calls the modalities: exactly one."""
        return ("audio",) if "audio" in self.modalities else ("text",)

    @property
    def vad(self) -> ServerVad | SemanticVad | None:
        """Turn detection with its settings; None when it is off."""
        match self.turn_detection:
            case "none":
                return None
            case "server_vad":
                return _DEFAULT_VAD
            case "semantic_vad":
                return SemanticVad()
            case settings:
                return settings

    @property
    def vad_creates_response(self) -> bool:
        """Whether the provider itself asks for a response when the user stops speaking."""
        return self.vad is not None and self.vad.create_response

    @property
    def vad_interrupts(self) -> bool:
        """Whether the provider itself cancels the running response when the user speaks."""
        return self.vad is not None and self.vad.interrupt_response

    @property
    def transcription(self) -> Transcription | None:
        """How the user's speech is transcribed; None when it is not."""
        match self.input_audio_transcription:
            case None | True:
                return Transcription()
            case False:
                return None
            case str(model):
                return Transcription(model=model)
            case settings:
                return settings

    def _set(self, name: str, value: object) -> None:
        object.__setattr__(self, name, value)

    def _choose(self, name: str, allowed: Iterable[str], *or_else: str) -> None:
        self._set(name, checks.one_of(name, getattr(self, name), allowed, *or_else))

    def _check_text_and_audio(self) -> None:
        if self.instructions is not None:
            self._set("instructions", checks.text("instructions", self.instructions, empty=True))
        if isinstance(self.voice, VoiceId):
            checks.text("voice.id", self.voice.id)
        elif self.voice is not None:
            self._set("voice", checks.text("voice", self.voice))
        given = checks.items("modalities", self.modalities, '"audio" and "text"')
        modalities = tuple(checks.one_of("modalities", each, _MODALITIES) for each in given)
        if not modalities or len(set(modalities)) < len(modalities):
            raise ConfigError("modalities", modalities, '["audio", "text"], ["audio"] or ["text"]')
        self._set("modalities", modalities)
        self._choose("input_audio_format", _FORMATS)
        self._choose("output_audio_format", _FORMATS)
        if self.speed is not None:
            self._set("speed", checks.number("speed", self.speed, 0.25, 1.5))
        if self.noise_reduction is not None:
            self._choose("noise_reduction", ("near_field", "far_field", "none"))

    def _check_turn_detection(self) -> None:
        if not isinstance(self.turn_detection, ServerVad | SemanticVad):
            names = ("server_vad", "semantic_vad", "none")
            self._choose("turn_detection", names, "ServerVad(...)", "SemanticVad(...)")
        asked = self.input_audio_transcription
        if not isinstance(asked, bool | Transcription | None):
            what = "the name of a model, None, True, False or Transcription(...)"
            self._set("input_audio_transcription", checks.text("input_audio_transcription", asked, what=what))
        if self.transcription and self.transcription.model == "gpt-realtime-whisper" and self.vad:
            allowed = '"none", because gpt-realtime-whisper transcribes without turn detection'
            raise ConfigError("turn_detection", self.turn_detection, allowed)

    def _check_tools(self) -> None:
        self._set("provider_extras", checks.json_object("provider_extras", self.provider_extras))
        if self.provider_extras.get("type", "realtime") != "realtime":
            raise ConfigError("provider_extras", self.provider_extras, 'no type other than "realtime"')
        self._set("tools", checks.items("tools", self.tools, "tools"))
        described = tuple(descriptor_of(tool, f"tools[{i}]") for i, tool in enumerate(self.tools))
        self._set("tool_descriptors", described)
        names = [tool.name for tool in described]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError("tools", names, f"one tool called {name}: names must differ")
        if self.parallel_tool_calls is not None:
            checks.flag("parallel_tool_calls", self.parallel_tool_calls)
        self._check_tool_choice(names)

    def _check_tool_choice(self, names: list[str]) -> None:
        elsewhere = "tools" in self.provider_extras
        if isinstance(self.tool_choice, ToolChoice):
            if self.tool_choice.name not in names and not elsewhere:
                listed = ", ".join(names) or "none is offered"
                raise ConfigError(
                    "tool_choice", self.tool_choice.name, f"the name of a tool that is offered ({listed})"
                )
            return
        self._choose("tool_choice", ("auto", "none", "required"), "ToolChoice(name)")
        if self.tool_choice == "required" and not names and not elsewhere:
            raise ConfigError("tool_choice", self.tool_choice, '"auto" or "none" when no tool is offered')

    def _check_generation(self) -> None:
        if self.temperature is not None:
            allowed = "None: the GA protocol has no temperature (a provider that has one takes it in provider_extras)"
            raise ConfigError("temperature", self.temperature, allowed)
        limit: object = self.max_response_output_tokens
        if isinstance(limit, str) and limit == "inf":
            self._set("max_response_output_tokens", "inf")
        elif limit is not None:
            more = ' or "inf" (a model with a higher limit takes max_output_tokens in provider_extras)'
            whole = checks.integer("max_response_output_tokens", limit, 1, 4096, or_else=more)
            self._set("max_response_output_tokens", whole)
        if self.reasoning_effort is not None:
            self._choose("reasoning_effort", _EFFORTS)
        if self.truncation is not None and not isinstance(self.truncation, RetentionRatio):
            self._choose("truncation", ("auto", "disabled"), "RetentionRatio(ratio=...)")

    def _check_conduct(self) -> None:
        policy = checks.one_of("on_interrupt", self.on_interrupt, _POLICIES)
        policy = policy.replace("-", "_")
        self._set("on_interrupt", policy)
        checks.flag("settle_dropped_calls", self.settle_dropped_calls)
        if self.settle_dropped_calls and policy != "drop":
            raise ConfigError(
                "settle_dropped_calls", True, f'False, because on_interrupt="{policy}" drops no call'
            )
        self._set("max_tool_rounds", checks.integer("max_tool_rounds", self.max_tool_rounds, 1, 10_000))
        for name in ("response_timeout_s", "connect_timeout_s", "close_timeout_s", "tool_timeout_s"):
            if (value := getattr(self, name)) is not None or name != "tool_timeout_s":
                self._set(name, checks.seconds(name, value))


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, in order."""
    return tuple(each.name for each in fields(Config) if each.init)

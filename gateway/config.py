"""`Config`: what a session should be, vendor-neutral and checked when it is built. Pure.

``session_update`` turns it into the wire's words. Whatever is None is left to the provider.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, Self, TypeAlias

from . import checks, shared_settings
from .errors import ConfigError
from .hosted import Prompt, Tracing
from .mcp import Mcp
from .shared_settings import EFFORTS, FORMATS, AnyToolChoice, AudioFormatName, Modality, ReasoningEffort, Tool
from .tool_descriptor import ToolDescriptor
from .turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from .wire_types import VoiceId

OnInterrupt: TypeAlias = Literal["drop", "submit_completed_only", "submit-completed-only", "submit"]
TurnDetection: TypeAlias = Literal["server_vad", "semantic_vad", "none"] | ServerVad | SemanticVad
Included: TypeAlias = Literal["item.input_audio_transcription.logprobs"]
NoiseReduction: TypeAlias = Literal["near_field", "far_field", "none"]

_INCLUDED: Final = ("item.input_audio_transcription.logprobs",)
_POLICIES: Final = ("drop", "submit_completed_only", "submit-completed-only", "submit")
_MORE_TOKENS: Final = " (a model with a higher limit takes max_output_tokens in provider_extras)"
_DEFAULT_VAD: Final = ServerVad()


def _no_extras() -> dict[str, Any]:
    return {}


@checks.settings()
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
        mcp_servers: remote MCP servers, whose tools the provider calls by itself.
        tool_choice: "auto", "none", "required", ``ToolChoice(name)`` or ``McpToolChoice(server_label)``.
        parallel_tool_calls: whether the model may ask for several calls at once.
        temperature: the GA protocol has none, so that any value but None is refused.
        max_response_output_tokens: 1 to 4096, or "inf".
        speed: of the speech, 0.25 to 1.5.
        noise_reduction: by how far away the microphone is; "none" switches it off.
        truncation: what to do when the context is full: "auto", "disabled" or `RetentionRatio`.
        reasoning_effort: for models that reason.
        prompt: a prompt stored at the provider; what is set here besides wins over what it says.
        include: what else the provider should send; the log probabilities of the transcription are all there is.
        tracing: "auto" or `Tracing`, for the provider's own traces; it cannot be changed once it has begun.
        provider_extras: anything else the provider takes, as its own session object; merged over ours field by field.
        on_interrupt: what becomes of tool calls when the user interrupts: "drop", "submit_completed_only", "submit".
        settle_dropped_calls: under "drop", send one short "cancelled" output per dropped call.
        max_tool_rounds: after how many rounds of tool calls without the user a turn is ended.
        response_timeout_s: how long to wait for a response to begin.
        connect_timeout_s: how long opening a line may take.
        rollover_margin_s: how long before the provider ends a session it is moved to a new line; None or 0 for never.
        session_max_age_s: how long the provider keeps a session at most. Also where it says more, for the clocks may not agree;
            None for as long as it says.
        close_timeout_s: how long closing the session may take.
        tool_timeout_s: how long a tool may run, unless it has a limit of its own; None for no limit.
        approve_tool: is asked before each call of a tool that ``needs_approval``, and when a remote MCP server's tool does.
            It gets a ``ToolApproval`` and returns True, or a future or awaitable of it, to allow the call; anything
            else denies it.
        approval_timeout_s: how long it may take to decide; what is not decided by then is denied.
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
    mcp_servers: Sequence[Mcp] = ()
    tool_choice: AnyToolChoice = "auto"
    parallel_tool_calls: bool | None = None
    temperature: None = None
    max_response_output_tokens: int | Literal["inf"] | None = None
    speed: float | None = None
    noise_reduction: NoiseReduction | None = None
    truncation: Literal["auto", "disabled"] | RetentionRatio | None = None
    reasoning_effort: ReasoningEffort | None = None
    prompt: Prompt | None = None
    include: Sequence[Included] | None = None
    tracing: Literal["auto"] | Tracing | None = None
    provider_extras: Mapping[str, Any] = field(default_factory=_no_extras, repr=False)
    on_interrupt: OnInterrupt = "drop"
    settle_dropped_calls: bool = False
    max_tool_rounds: int = 25
    response_timeout_s: float = 15.0
    connect_timeout_s: float = 15.0
    rollover_margin_s: float | None = 300.0
    session_max_age_s: float | None = 3600.0
    close_timeout_s: float = 2.0
    tool_timeout_s: float | None = None
    approve_tool: Callable[[Any], object] | None = None
    approval_timeout_s: float = 30.0
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
        checks.known_setting(setting_names(), overrides)  # those that are derived are not to be replaced
        return replace(self, **overrides)

    @property
    def output_modalities(self) -> tuple[Modality, ...]:
        """What the wire calls the modalities: exactly one."""
        return shared_settings.output_modalities(self.modalities)

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
        if self.voice is not None:
            self._set("voice", shared_settings.voice("voice", self.voice))
        self._set("modalities", shared_settings.modalities("modalities", self.modalities))
        self._choose("input_audio_format", FORMATS)
        self._choose("output_audio_format", FORMATS)
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
        tools, described = shared_settings.tools("tools", self.tools)
        self._set("tools", tools)
        self._set("tool_descriptors", described)
        servers = shared_settings.mcp_servers("mcp_servers", self.mcp_servers)
        self._set("mcp_servers", servers)
        if self.parallel_tool_calls is not None:
            checks.flag("parallel_tool_calls", self.parallel_tool_calls)
        elsewhere = "tools" in self.provider_extras
        names = None if elsewhere else [tool.name for tool in described]
        labels = None if elsewhere else [server.server_label for server in servers]
        self._set("tool_choice", shared_settings.tool_choice("tool_choice", self.tool_choice, names, labels))

    def _check_generation(self) -> None:
        if self.temperature is not None:
            allowed = "None: the GA protocol has no temperature (a provider that has one takes it in provider_extras)"
            raise ConfigError("temperature", self.temperature, allowed)
        if self.max_response_output_tokens is not None:
            name, more = "max_response_output_tokens", _MORE_TOKENS
            self._set(name, shared_settings.output_tokens(name, self.max_response_output_tokens, more))
        if self.reasoning_effort is not None:
            self._choose("reasoning_effort", EFFORTS)
        if self.truncation is not None and not isinstance(self.truncation, RetentionRatio):
            self._choose("truncation", ("auto", "disabled"), "RetentionRatio(ratio=...)")
        if self.prompt is not None:
            shared_settings.prompt("prompt", self.prompt)
        if self.include is not None:
            given = checks.items("include", self.include, f'"{_INCLUDED[0]}"')
            self._set("include", tuple(checks.one_of("include", each, _INCLUDED) for each in given))
        if self.tracing is not None and not isinstance(self.tracing, Tracing):
            self._choose("tracing", ("auto",), "Tracing(...)", "None")

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
        if self.approve_tool is not None and not callable(self.approve_tool):
            raise ConfigError("approve_tool", self.approve_tool, "a function of a ToolApproval, or None")
        margin = self.rollover_margin_s
        off = margin is None or (type(margin) in (int, float) and margin == 0)
        if not off:
            self._set("rollover_margin_s", checks.seconds("rollover_margin_s", margin))
        if self.session_max_age_s is not None:
            self._set("session_max_age_s", checks.seconds("session_max_age_s", self.session_max_age_s))
        timeouts = ("response_timeout_s", "connect_timeout_s", "close_timeout_s", "approval_timeout_s")
        for name in (*timeouts, "tool_timeout_s"):
            if (value := getattr(self, name)) is not None or name != "tool_timeout_s":
                self._set(name, checks.seconds(name, value))


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings, in order."""
    return checks.names_of(Config)

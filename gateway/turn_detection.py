"""How a session listens: turn detection, transcription and truncation, as settings. Pure.

Source: ``reference/protocol.md`` A.3 and A.4 (ServerVad, SemanticVad, AudioTranscription, RealtimeTruncation).
"""

from dataclasses import dataclass
from typing import Final, Literal

from . import checks

Eagerness = Literal["low", "medium", "high", "auto"]
TranscriptionDelay = Literal["minimal", "low", "medium", "high", "xhigh"]
DEFAULT_TRANSCRIPTION_MODEL = "gpt-4o-mini-transcribe"

_set: Final = object.__setattr__  # how a frozen dataclass stores what its checks return


@checks.settings("turn_detection.")
@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVad:
    """Turns end with silence. What is None is left to the provider (OpenAI: 0.5, 300 ms, 500 ms, no idle timeout).

    Attributes:
        threshold: how sure of speech the server has to be, 0 to 1.
        prefix_padding_ms: how much audio before the speech belongs to the turn.
        silence_duration_ms: how much silence ends a turn.
        idle_timeout_ms: after how much silence the model speaks by itself.
        create_response: whether the end of a turn asks for a response.
        interrupt_response: whether speech cancels the running response.
    """

    threshold: float | None = None
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None
    idle_timeout_ms: int | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def __post_init__(self) -> None:
        if self.threshold is not None:
            _set(self, "threshold", checks.number("turn_detection.threshold", self.threshold, 0.0, 1.0))
        for name, low in (("prefix_padding_ms", 0), ("silence_duration_ms", 0), ("idle_timeout_ms", 1)):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, checks.integer(f"turn_detection.{name}", value, low))
        checks.flag("turn_detection.create_response", self.create_response)
        checks.flag("turn_detection.interrupt_response", self.interrupt_response)


@checks.settings("turn_detection.")
@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticVad:
    """Turns end when the speaker has said what there was to say.

    Attributes:
        eagerness: how soon to take the turn: low waits at most 8 s, medium (= auto) 4 s, high 2 s.
        create_response: whether the end of a turn asks for a response.
        interrupt_response: whether speech cancels the running response.
    """

    eagerness: Eagerness | None = None
    create_response: bool = True
    interrupt_response: bool = True

    def __post_init__(self) -> None:
        if self.eagerness is not None:
            choices = ("low", "medium", "high", "auto")
            _set(self, "eagerness", checks.one_of("turn_detection.eagerness", self.eagerness, choices))
        checks.flag("turn_detection.create_response", self.create_response)
        checks.flag("turn_detection.interrupt_response", self.interrupt_response)


@checks.settings("input_audio_transcription.")
@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """What the user says comes as text too. ``languages`` and ``keywords`` are for models that take them.

    Attributes:
        model: the transcription model; any name, because providers add them.
        language: the language spoken, as ISO-639-1.
        prompt: what guides the transcription.
        languages: the languages to expect.
        keywords: words to expect.
        delay: how long to wait for certainty.
    """

    model: str = DEFAULT_TRANSCRIPTION_MODEL
    language: str | None = None
    prompt: str | None = None
    languages: tuple[str, ...] = ()
    keywords: tuple[str, ...] = ()
    delay: TranscriptionDelay | None = None

    def __post_init__(self) -> None:
        field = "input_audio_transcription"
        _set(self, "model", checks.text(f"{field}.model", self.model))
        for name in ("language", "prompt"):
            value = getattr(self, name)
            if value is not None:
                _set(self, name, checks.text(f"{field}.{name}", value))
        for name in ("languages", "keywords"):
            _set(self, name, checks.texts(f"{field}.{name}", getattr(self, name)))
        if self.delay is not None:
            choices = ("minimal", "low", "medium", "high", "xhigh")
            _set(self, "delay", checks.one_of(f"{field}.delay", self.delay, choices))


@checks.settings("truncation.")
@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRatio:
    """When the context is full, keep this share of it, so that the next truncation is not due at once.

    Attributes:
        ratio: what to keep, 0 to 1.
        post_instructions: the token limit of the conversation after the instructions.
    """

    ratio: float
    post_instructions: int | None = None

    def __post_init__(self) -> None:
        _set(self, "ratio", checks.number("truncation.ratio", self.ratio, 0.0, 1.0))
        if self.post_instructions is not None:
            limit = checks.integer("truncation.post_instructions", self.post_instructions, 0)
            _set(self, "post_instructions", limit)

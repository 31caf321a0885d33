"""A Config is right when it is built, or it is not built."""

import dataclasses
import enum
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trunkline.gateway.codec import encode_client_event
from trunkline.gateway.config import Config, setting_names
from trunkline.gateway.errors import ConfigError
from trunkline.gateway.hosted import Prompt, Tracing
from trunkline.gateway.mcp import Mcp, McpApproval, McpToolChoice, McpToolFilter
from trunkline.gateway.response_options import ResponseOptions
from trunkline.gateway.session_update import session_update
from trunkline.gateway.tool_descriptor import ToolChoice, ToolDescriptor
from trunkline.gateway.turn_detection import RetentionRatio, SemanticVad, ServerVad, Transcription
from trunkline.gateway.wire_types import VoiceId

WEATHER = ToolDescriptor("weather", "Tell the weather.")
TIME = ToolDescriptor("time", "Tell the time.")
DOCS = Mcp(server_label="docs", server_url="https://docs.example/mcp")
MAIL = Mcp(server_label="mail", connector_id="connector_gmail")
LOGPROBS = "item.input_audio_transcription.logprobs"

SEED = {
    "instructions": None,
    "voice": None,
    "modalities": ("audio", "text"),
    "input_audio_format": "pcm16",
    "output_audio_format": "pcm16",
    "turn_detection": "server_vad",
    "input_audio_transcription": None,
    "tools": (),
    "tool_choice": "auto",
    "temperature": None,
    "max_response_output_tokens": None,
    "on_interrupt": "drop",
    "provider_extras": {},
}
GOOD: dict[str, list[Any]] = {
    "instructions": [None, "", "be brief"],
    "voice": [None, "marin", "a_voice_of_tomorrow", VoiceId("voice_1")],
    "modalities": [["audio", "text"], ["text", "audio"], ("audio",), ["text"]],
    "input_audio_format": ["pcm16", "g711_ulaw", "g711_alaw"],
    "output_audio_format": ["pcm16", "g711_ulaw", "g711_alaw"],
    "turn_detection": [
        "server_vad",
        "semantic_vad",
        "none",
        ServerVad(threshold=0.2),
        SemanticVad(eagerness="low"),
    ],
    "input_audio_transcription": [None, True, False, "whisper-1", Transcription(language="en")],
    "tools": [[], (), [WEATHER], (WEATHER, TIME)],
    "mcp_servers": [[], (), [DOCS], (DOCS, MAIL)],
    "tool_choice": ["auto", "none"],
    "parallel_tool_calls": [None, True, False],
    "temperature": [None],
    "max_response_output_tokens": [None, 1, 4096, "inf"],
    "speed": [None, 0.25, 1, 1.5],
    "noise_reduction": [None, "near_field", "far_field", "none"],
    "truncation": [None, "auto", "disabled", RetentionRatio(ratio=0.8)],
    "reasoning_effort": [None, "minimal", "low", "medium", "high", "xhigh"],
    "prompt": [None, Prompt("pmpt_1")],
    "include": [None, [], [LOGPROBS]],
    "tracing": [None, "auto", Tracing(), Tracing(workflow_name="w")],
    "provider_extras": [{}, {"audio": {"input": {"x": [1, None, "y"]}}}, {"type": "realtime"}],
    "on_interrupt": ["drop", "submit_completed_only", "submit-completed-only", "submit"],
    "settle_dropped_calls": [True, False],
    "max_tool_rounds": [1, 25, 10_000],
    "response_timeout_s": [0.001, 15, 86_400],
    "connect_timeout_s": [0.5, 15],
    "close_timeout_s": [0.5, 2],
    "rollover_margin_s": [None, 0, 60, 0.5],
    "session_max_age_s": [None, 60, 0.5],
    "tool_timeout_s": [None, 0.5, 30],
    "approve_tool": [None, bool],
    "approval_timeout_s": [0.5, 30],
}
BAD: dict[str, list[Any]] = {
    "instructions": ["\ud800"],
    "voice": ["", " ", VoiceId("")],
    "modalities": [[], ["video"], ["audio", "audio"], ["text", None], "text", ["audio", "text", "text"]],
    "input_audio_format": ["pcm24", "PCM16", "audio/pcm"],
    "output_audio_format": ["mp3", ""],
    "turn_detection": [None, "off", "SERVER_VAD", ServerVad, {"type": "server_vad"}, False],
    "input_audio_transcription": ["", " ", {"model": "whisper-1"}, 1, Transcription],
    "tools": [WEATHER, [None], ["weather"], [WEATHER, WEATHER], {"weather": WEATHER}, [int]],
    "mcp_servers": [DOCS, [None], ["docs"], [{"server_label": "docs"}], [DOCS, DOCS], [Mcp]],
    "tool_choice": [
        McpToolChoice("docs"),
        "required",
        "weather",
        "",
        None,
        ToolChoice("weather"),
        {"type": "function", "name": "weather"},
    ],
    "parallel_tool_calls": [0, "yes"],
    "temperature": [0, 0.8, "hot", False],
    "max_response_output_tokens": [0, -1, 4097, 1.5, "100", "INF", True],
    "speed": [0.24, 1.51, 0, "1", True, float("nan")],
    "noise_reduction": ["on", True],
    "truncation": ["always", 0.8, {"type": "retention_ratio"}],
    "reasoning_effort": ["max", 3],
    "prompt": ["pmpt_1", {"id": "pmpt_1"}, Prompt],
    "include": [LOGPROBS, ["everything"], [None]],
    "tracing": ["none", "", True, {"workflow_name": "w"}],
    "provider_extras": [
        None,
        [],
        "x",
        {"x": object()},
        {"type": "transcription"},
        {"x": "\ud800"},
        {(1, 2): 3},
    ],
    "on_interrupt": ["DROP", "", None, "submit completed only"],
    "settle_dropped_calls": [None, 1, "no"],
    "max_tool_rounds": [0, -1, None, 1.5, 10_001, True],
    "response_timeout_s": [0, -1, None, "15", float("inf"), float("nan"), 86_401, 10**400, True],
    "connect_timeout_s": [0, None, "15", False],
    "close_timeout_s": [0, None, -0.1],
    "rollover_margin_s": [-1, "60", float("inf")],
    "session_max_age_s": [0, -1, "60"],
    "tool_timeout_s": [0, -1, "30", float("inf")],
    "approve_tool": [True, "yes"],
    "approval_timeout_s": [0, None, "30"],
}


class Hostile:
    """Says yes to everything but means nothing."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash("server_vad")

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no length")

    def __iter__(self) -> Any:
        raise RuntimeError("no items")

    def __bool__(self) -> bool:
        raise RuntimeError("no truth")


class Loose(str, enum.Enum):  # noqa: UP042 - the kind whose str() is not its value
    VAD = "server_vad"
    FORMAT = "pcm16"
    POLICY = "submit"
    CHOICE = "auto"
    DISTANCE = "near_field"
    EFFORT = "low"
    INF = "inf"


class Count(enum.IntEnum):
    ONE = 1


HOSTILE: list[Any] = [
    None,
    0,
    1,
    -1,
    1.5,
    True,
    "",
    "x",
    b"x",
    [],
    [None],
    [[]],
    (),
    {},
    {"a": 1},
    set(),
    object(),
    np.zeros(2),
    np.float64(0.5),
    *Loose,
    Count.ONE,
    int,
    len,
    Hostile(),
    [Hostile()],
    {"k": Hostile()},
]


def pairs(table: dict[str, list[Any]]) -> list[Any]:
    return [
        pytest.param(name, value, id=f"{name}-{i}")
        for name, values in table.items()
        for i, value in enumerate(values)
    ]


def test_the_tables_here_cover_every_setting():
    assert set(GOOD) == set(BAD) == set(setting_names())


@pytest.mark.parametrize("name", SEED)
def test_a_default_is_what_the_contract_says(name: str):
    assert getattr(Config(), name) == SEED[name]


def test_the_example_of_the_design_builds():
    config = Config(
        modalities=["text"],
        instructions="You are a concise assistant.",
        turn_detection="none",
        input_audio_transcription=False,
    )
    assert config.output_modalities == ("text",)
    assert config.vad is None
    assert config.transcription is None


@pytest.mark.parametrize(("name", "value"), pairs(GOOD))
def test_what_is_allowed_builds_compares_pickles_and_replaces(name: str, value: Any):
    config = Config(**{name: value})
    assert config == Config(**{name: value})
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.replace() == config
    assert Config().replace(**{name: value}) == config
    assert repr(config)


@pytest.mark.parametrize(("name", "value"), pairs(BAD))
def test_what_is_not_is_refused_by_name(name: str, value: Any):
    with pytest.raises(ConfigError) as refused:
        Config(**{name: value})
    error = refused.value
    assert error.field.split(".")[0].split("[")[0] == name
    assert error.allowed
    assert error.field in str(error)
    assert len(error.value) <= 80


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_hostile_value_is_accepted_or_a_config_error_and_nothing_else(name: str):
    for value in HOSTILE:
        try:
            config = Config(**{name: value})
        except ConfigError:
            continue
        # What was accepted is plain, so that the encoder takes it and str() of it is what it says.
        kept = getattr(config, name)
        assert type(kept) in (str, int, float, bool, tuple, dict, type(None)) or name == "approve_tool"
        assert encode_client_event(session_update(config))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(sorted(GOOD)),
        st.sampled_from([value for values in (*GOOD.values(), *BAD.values()) for value in values])
        | st.recursive(
            st.none() | st.integers() | st.floats() | st.text(max_size=5) | st.binary(max_size=5),
            lambda x: st.lists(x, max_size=2),
        ),
        max_size=4,
    )
)
def test_any_mixture_of_settings_is_accepted_or_a_config_error(settings: dict[str, Any]):
    try:
        config = Config(**settings)
    except ConfigError:
        return
    assert pickle.loads(pickle.dumps(config)) == config
    assert encode_client_event(session_update(config))


@pytest.mark.parametrize(
    ("contradiction", "field"),
    [
        ({"tools": [WEATHER, TIME, ToolDescriptor("weather")]}, "tools"),
        ({"tools": [WEATHER], "tool_choice": ToolChoice("time")}, "tool_choice"),
        ({"tools": [], "tool_choice": "required"}, "tool_choice"),
        ({"on_interrupt": "submit", "settle_dropped_calls": True}, "settle_dropped_calls"),
        ({"input_audio_transcription": "gpt-realtime-whisper"}, "turn_detection"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(contradiction: dict[str, Any], field: str):
    with pytest.raises(ConfigError) as refused:
        Config(**contradiction)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "settings",
    [
        {"tools": [WEATHER, TIME], "tool_choice": ToolChoice("time")},
        {"tools": [WEATHER], "tool_choice": "required"},
        {"tool_choice": "required", "provider_extras": {"tools": [{"type": "mcp"}]}},
        {
            "tool_choice": ToolChoice("hosted"),
            "provider_extras": {"tools": [{"type": "function", "name": "hosted"}]},
        },
        {"modalities": ["text"], "voice": "marin"},
        {"input_audio_transcription": "gpt-realtime-whisper", "turn_detection": "none"},
        {"on_interrupt": "drop", "settle_dropped_calls": True},
    ],
)
def test_settings_that_only_seem_to_are_not(settings: dict[str, Any]):
    assert Config(**settings)


def test_temperature_is_refused_with_the_reason_and_the_way_out():
    with pytest.raises(ConfigError) as refused:
        Config(temperature=0.8)  # type: ignore[arg-type]  # as a caller of the beta would write it
    assert "GA protocol has no temperature" in str(refused.value)
    assert "provider_extras" in str(refused.value)


def test_extras_are_never_shown_because_they_may_hold_a_key():
    extras = {"tools": [{"type": "mcp", "authorization": "hush"}]}
    assert "hush" not in repr(Config(provider_extras=extras))
    with pytest.raises(ConfigError) as refused:
        Config(provider_extras={**extras, "type": "transcription"})
    assert "hush" not in f"{refused.value}{refused.value.__dict__}"


def test_both_spellings_of_the_policy_are_one():
    assert Config(on_interrupt="submit-completed-only") == Config(on_interrupt="submit_completed_only")


@pytest.mark.parametrize(
    ("modalities", "wire"),
    [
        (["audio", "text"], ("audio",)),
        (["text", "audio"], ("audio",)),
        (["audio"], ("audio",)),
        (["text"], ("text",)),
    ],
)
def test_the_wire_knows_one_modality(modalities: Any, wire: tuple[str, ...]):
    assert Config(modalities=modalities).output_modalities == wire


@pytest.mark.parametrize("interrupts", [True, False])
@pytest.mark.parametrize("creates", [True, False])
@pytest.mark.parametrize("vad", [ServerVad, SemanticVad])
def test_what_turn_detection_does_by_itself_can_be_asked(vad: Any, creates: bool, interrupts: bool):
    config = Config(turn_detection=vad(create_response=creates, interrupt_response=interrupts))
    assert (config.vad_creates_response, config.vad_interrupts) == (creates, interrupts)


@pytest.mark.parametrize(("name", "does"), [("server_vad", True), ("semantic_vad", True), ("none", False)])
def test_named_turn_detection_does_both_or_neither(name: Any, does: bool):
    config = Config(turn_detection=name)
    assert (config.vad_creates_response, config.vad_interrupts) == (does, does)
    assert (config.vad is not None) == does


@pytest.mark.parametrize(
    ("asked", "model"),
    [
        (None, "gpt-4o-mini-transcribe"),
        (True, "gpt-4o-mini-transcribe"),
        ("whisper-1", "whisper-1"),
        (Transcription(model="m"), "m"),
    ],
)
def test_the_users_speech_is_transcribed_unless_it_is_switched_off(asked: Any, model: str):
    transcription = Config(input_audio_transcription=asked).transcription
    assert transcription is not None
    assert transcription.model == model


def test_replace_leaves_the_original_alone():
    config = Config(instructions="a", tools=[WEATHER])
    other = config.replace(instructions="b", tools=[TIME])
    assert (config.instructions, config.tool_descriptors) == ("a", (WEATHER,))
    assert (other.instructions, other.tool_descriptors) == ("b", (TIME,))


@pytest.mark.parametrize(
    ("build", "field", "hint"),
    [
        (lambda: Config(modality=["text"]), "modality", "did you mean modalities?"),  # type: ignore[call-arg]
        (lambda: Config(tool_descriptors=()), "tool_descriptors", "one of"),  # type: ignore[call-arg]
        (lambda: ResponseOptions(metdata={}), "metdata", "did you mean metadata?"),  # type: ignore[call-arg]
        (lambda: ServerVad(treshold=0.5), "turn_detection.treshold", "did you mean threshold?"),  # type: ignore[call-arg]
        (lambda: SemanticVad(eager="low"), "turn_detection.eager", "eagerness"),  # type: ignore[call-arg]
        (lambda: Transcription(modl="m"), "input_audio_transcription.modl", "did you mean model?"),  # type: ignore[call-arg]
        (lambda: RetentionRatio(ratios=0.5), "truncation.ratios", "did you mean ratio?"),  # type: ignore[call-arg]
        (lambda: Prompt("p", versions="1"), "prompt.versions", "did you mean version?"),  # type: ignore[call-arg]
        (lambda: Tracing(workflow="w"), "tracing.workflow", "workflow_name"),  # type: ignore[call-arg]
        (lambda: Mcp(server_lable="x"), "mcp.server_lable", "did you mean server_label?"),  # type: ignore[call-arg]
        (lambda: McpToolFilter(names=["x"]), "mcp.names", "tool_names"),  # type: ignore[call-arg]
        (lambda: McpApproval(allways=None), "mcp.require_approval.allways", "did you mean always?"),  # type: ignore[call-arg]
    ],
)
def test_a_setting_that_does_not_exist_is_refused_with_a_hint(build: Any, field: str, hint: str):
    with pytest.raises(ConfigError) as refused:
        build()
    assert refused.value.field == field
    assert hint in refused.value.allowed


def test_a_setting_that_may_hold_a_secret_is_not_shown_when_its_name_is_wrong():
    with pytest.raises(ConfigError) as refused:
        Mcp(server_label="x", server_url="https://h", autorization="hush")  # type: ignore[call-arg]
    assert "did you mean authorization?" in str(refused.value)
    assert "hush" not in str(refused.value) + repr(vars(refused.value))


def test_a_config_of_ones_own_may_take_what_it_likes():
    class ShopConfig(Config):
        def __init__(self, shop: str, **settings: Any) -> None:
            super().__init__(instructions=f"You answer the phone of {shop}.", **settings)

    assert ShopConfig(shop="Miller", speed=1.5).instructions == "You answer the phone of Miller."


@pytest.mark.parametrize(
    ("name", "hint"),
    [("instrctions", "instructions"), ("voices", "voice"), ("tool_descriptors", "one of"), ("zzz", "one of")],
)
def test_replacing_a_setting_that_does_not_exist_is_refused_with_a_hint(name: str, hint: str):
    with pytest.raises(ConfigError) as refused:
        Config().replace(**{name: 1})
    assert refused.value.field == name
    assert hint in refused.value.allowed


def test_a_replacement_is_checked_like_the_rest():
    with pytest.raises(ConfigError):
        Config(tools=[WEATHER], tool_choice=ToolChoice("weather")).replace(tools=[])


def test_a_config_cannot_be_changed_not_even_through_what_it_was_made_of():
    modalities, tools, extras = ["text"], [WEATHER], {"audio": {"x": [1]}}
    config = Config(modalities=modalities, tools=tools, provider_extras=extras)  # type: ignore[arg-type]  # lists of str
    modalities.append("audio")
    tools.append(TIME)
    extras["audio"]["x"].append(2)
    assert config == Config(modalities=["text"], tools=[WEATHER], provider_extras={"audio": {"x": [1]}})
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.speed = 1.0  # type: ignore[misc]  # that is the point


def test_a_tool_object_is_asked_for_its_descriptor_once():
    class Counted:
        asked = 0

        @property
        def descriptor(self) -> ToolDescriptor:
            self.asked += 1
            return WEATHER

    tool = Counted()
    config = Config(tools=[tool])
    assert config.tool_descriptors == config.tool_descriptors == (WEATHER,)
    assert config.tools == (tool,)
    assert tool.asked == 1


def test_a_tool_may_be_required_when_only_an_mcp_server_offers_one():
    assert Config(mcp_servers=[DOCS], tool_choice="required").tool_choice == "required"


@pytest.mark.parametrize("choice", [McpToolChoice("docs"), McpToolChoice("docs", "search")])
def test_a_tool_of_an_mcp_server_may_be_chosen_if_the_server_is_offered(choice: McpToolChoice):
    assert Config(mcp_servers=[DOCS, MAIL], tool_choice=choice).tool_choice == choice
    assert Config(provider_extras={"tools": [{"type": "mcp"}]}, tool_choice=choice).tool_choice == choice
    with pytest.raises(ConfigError, match="mail"):
        Config(mcp_servers=[MAIL], tool_choice=choice)


def test_what_an_mcp_server_needs_in_secret_is_not_in_the_repr_of_a_config():
    server = Mcp(
        server_label="docs",
        server_url="https://docs.example/mcp?key=hush1",
        headers={"X-Key": "hush2"},
        authorization="hush3",
    )
    assert "hush" not in repr(Config(mcp_servers=[server]))
    for wrong in ({"authorization": "hush"}, [{"authorization": "hush"}], [server, server]):
        with pytest.raises(ConfigError) as refused:
            Config(mcp_servers=wrong)  # type: ignore[arg-type]  # as callers without types write it
        assert "hush" not in f"{refused.value}{refused.value.__dict__}"

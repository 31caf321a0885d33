"""A realtime server over real WebSockets, for runs without a key and for tests. Needs `pip install 'trunkline[simulator]'`.

It speaks the GA protocol of OpenAI's Realtime API: point any client at `url`. It shares no code with Trunkline's own codec.

    import json

    from websockets.sync.client import connect

    from trunkline.gateway.simulator import Simulator

    with Simulator() as simulator, connect(simulator.url + "?model=gpt-realtime-2") as client:
        said = [{"type": "input_text", "text": "What's the capital of Canada?"}]
        for event in (
            {"type": "session.update", "session": {"type": "realtime", "output_modalities": ["text"]}},
            {"type": "conversation.item.create", "item": {"type": "message", "role": "user", "content": said}},
            {"type": "response.create"},
        ):
            client.send(json.dumps(event))
        for frame in client:
            event = json.loads(frame)
            if event["type"] == "response.output_text.done":
                print(event["text"])
            elif event["type"] == "response.done":
                break

What it answers is up to its *brain*: a conversation goes in, steps come out. `RuleBrain`, the default, knows some capitals,
calls the tools it is offered and answers from their outputs. In a test, say what should happen:

    gate = Gate()
    brain = FunctionBrain(lambda conversation: [Say(["The capital ", Hold(gate), "is Ottawa."]), CallTool("add", {"a": 1})])

    script = ScriptBrain([expect("session.update"), expect("response.create"), reply(Say("hi")), expect("response.cancel")])

A response waits at `Hold(gate)` until the test calls `gate.open()`, so that no test has to sleep. A `ScriptBrain` holds the client
to what it expects, and `script.verify()` shows the difference; `EchoBrain` speaks the caller's audio back. `Simulator.wire` records
both directions (`wire.sent("response.create").once()`, `wire.wait_sent("response.cancel")`); `inject`, `close_all`, `abort_all`
and `mute` make the line go wrong, `refuse_status` and `refuse_error` the connecting. `Simulator(faults=FaultPlan(...))` does all
that by plan, and much more: see
`trunkline.gateway.faults`. `Simulator(record="wire.jsonl")` writes both directions to a file, and
`LocalCertificate.make()` has what `wss://` needs. `python -m trunkline.simulator --help` is the same as a program.

A remote MCP server is never asked: what one lists is told to the simulator (`mcp_servers={"docs": McpServer(tools)}`), what a
call of it gives is a step, `CallMcp("docs", "search", {"q": "x"}, output="found")`. Where the client's tool wants it, the call
has to be approved first.

How it is built: `session_core` and what it imports is the service as a state machine, without socket, clock or task;
`connection` and `server` are the shell around it.

There is no speech engine: a word is a short run of tones that spell it. `decode_words` reads back what was played, and
`encode_words` makes a caller's audio, which the simulator understands in turn: it finds the turns in it by energy, barges
in, and transcribes it (`(speech, 740 ms)`, where it is not made of such tones; or whatever your `transcriber` says). Time in
audio is counted in samples, so a test may push a minute of it at once.
"""

try:
    import websockets as _websockets

    del _websockets
except ImportError as _error:
    raise ImportError(
        "the simulator needs the package 'websockets': pip install 'trunkline[simulator]'"
    ) from _error

from .brains import Brain, BrainPerConnection, FunctionBrain, ObservingBrain
from .conversation import Conversation
from .echo_brain import EchoBrain
from .field_match import ABSENT, at_least, at_most, one_of
from .gate import Gate
from .hearing import HeardWord, decode_words
from .local_certificate import LocalCertificate
from .mcp import McpServer
from .rule_brain import RuleBrain
from .script_brain import ScriptBrain, ScriptMismatch
from .script_steps import expect, in_any_order, reply
from .server import Simulator
from .steps import CallMcp, CallTool, Fail, Hold, Incomplete, Pause, PlayAudio, Say, Speak, Step
from .tone import encode_words
from .transcription import Transcriber, Transcript, Utterance
from .wire_log import Closed, Handshake, WireEvent, WireEvents, WireLog

__all__ = [
    "ABSENT",
    "Brain",
    "BrainPerConnection",
    "CallMcp",
    "CallTool",
    "Closed",
    "Conversation",
    "EchoBrain",
    "Fail",
    "FunctionBrain",
    "Gate",
    "Handshake",
    "HeardWord",
    "Hold",
    "Incomplete",
    "LocalCertificate",
    "McpServer",
    "ObservingBrain",
    "Pause",
    "PlayAudio",
    "RuleBrain",
    "Say",
    "ScriptBrain",
    "ScriptMismatch",
    "Simulator",
    "Speak",
    "Step",
    "Transcriber",
    "Transcript",
    "Utterance",
    "WireEvent",
    "WireEvents",
    "WireLog",
    "at_least",
    "at_most",
    "decode_words",
    "encode_words",
    "expect",
    "in_any_order",
    "one_of",
    "reply",
]

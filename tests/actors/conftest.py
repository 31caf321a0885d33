"""Fixtures of the actors room: the session core, driven without threads, sockets or clocks."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from trunkline.actors.effects import OpenLine, Reject, Resolve, Send, StartTimer, StartTool, StopTool
from trunkline.actors.events import SessionEvent
from trunkline.actors.memory import recall
from trunkline.actors.recipe import SessionRecipe, build_core
from trunkline.actors.session_log import Entry
from trunkline.actors.tool import as_tool
from trunkline.actors.tool_outcome import ToolOutcome
from trunkline.actors.tool_runner import ParallelToolRunner
from trunkline.gateway.codec import decode_server_event, encode_client_event
from trunkline.gateway.config import Config
from trunkline.gateway.openai import OpenAIGateway


class CoreDriver:
    """Feeds a session core and sorts what comes out: ``wire`` (dicts), ``seen`` (events), ``effects`` (everything)."""

    def __init__(
        self,
        config: Config,
        runner: Any = None,
        log: list[Entry] | None = None,
        restarts: int = 0,
        at_work: Any = (),
    ) -> None:
        self._numbers = itertools.count(1 + 1000 * restarts)  # no two incarnations make the same id
        self.log: list[Entry] = [] if log is None else log
        tools = {tool.descriptor.name: tool for tool in map(as_tool, config.tools or ())}
        recipe = SessionRecipe(
            "session_1", "m", OpenAIGateway(), config, tools, runner or ParallelToolRunner()
        )
        self.core = build_core(recipe, recall(self.log), restarts, self.new_id)
        self.now = 0.0
        self.effects: list[Any] = []
        self.wire: list[dict[str, Any]] = []
        self.seen: list[SessionEvent] = []
        self.resolved: dict[int, Any] = {}
        self.rejected: dict[int, Exception] = {}
        self._tokens = itertools.count(1)
        self.take(self.core.start(self.now, at_work))

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_{next(self._numbers)}"

    def take(self, effects: Any) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case Send(event):
                    self.wire.append(json.loads(encode_client_event(event)))
                case SessionEvent():
                    self.seen.append(effect)
                case Resolve(token, value):
                    self.resolved[token] = value
                case Reject(token, error):
                    self.rejected[token] = error
                case _ if hasattr(effect, "entry"):
                    self.log.append(effect.entry)

    def open(self, **session: Any) -> None:
        """A line opens and the provider confirms."""
        taken, effects = self.core.connected(self.of(OpenLine)[-1].attempt, self.now)
        assert taken
        self.take(effects)
        self.server("session.created", session={"id": "sess_1", "model": "m", "expires_at": 99, **session})
        self.server("session.updated", session={"id": "sess_1", **session})

    def server(self, type: str, **fields: Any) -> None:
        frame = json.dumps({"type": type, "event_id": "e", **fields}).encode()
        self.take(self.core.receive(decode_server_event(frame), self.now))

    def say(self, command: Any) -> int:
        token = next(self._tokens)
        self.take(self.core.command(command, token, self.now))
        return token

    def timer(self, key: Any) -> None:
        self.take(self.core.timer(key, self.now))

    def finish(self, call_id: str, output: str = "ok", name: str = "look") -> None:
        self.take(self.core.tool_finished(ToolOutcome.succeeded(call_id, name, output, output), self.now))

    # -- a server's part

    def begin(self, response: str = "r1", **fields: Any) -> None:
        self.server("response.created", response={"id": response, "conversation_id": "conv_1", **fields})

    def call(
        self, call_id: str, *, response: str = "r1", index: int = 0, arguments: str = "{}", name: str = "look"
    ) -> None:
        """The model writes a call, completely."""
        item = {"type": "function_call", "id": f"item_{call_id}", "call_id": call_id, "name": name}
        self.server("response.output_item.added", response_id=response, output_index=index, item=item)
        where = {"response_id": response, "item_id": item["id"], "call_id": call_id, "output_index": index}
        self.server("response.function_call_arguments.done", arguments=arguments, name=name, **where)
        done = {**item, "arguments": arguments, "status": "completed"}
        self.server("response.output_item.done", response_id=response, output_index=index, item=done)

    def done(self, response: str = "r1", status: str = "completed", **fields: Any) -> None:
        self.server(
            "response.done",
            response={"id": response, "status": status, "conversation_id": "conv_1", **fields},
        )

    def text(self, delta: str, response: str = "r1") -> None:
        self.server("response.output_text.delta", response_id=response, item_id="i1", delta=delta)

    def refuse(self, event_id: str, code: str, **fields: Any) -> None:
        self.server("error", error={"code": code, "message": "no", "event_id": event_id, **fields})

    # -- looking

    def of(self, kind: type[Any]) -> list[Any]:
        return [effect for effect in self.effects if isinstance(effect, kind)]

    def types(self) -> list[str]:
        return [frame["type"] for frame in self.wire]

    def kinds(self) -> list[str]:
        return [event.kind for event in self.seen]

    def clear(self) -> None:
        for seen in (self.effects, self.wire, self.seen):
            seen.clear()

    def started(self) -> list[str]:
        return [effect.call_id for effect in self.of(StartTool)]

    def stopped(self) -> list[str]:
        return [effect.call_id for effect in self.of(StopTool)]

    def timers(self) -> list[Any]:
        return [effect.key for effect in self.of(StartTimer)]

    def outputs(self) -> list[tuple[str, str]]:
        items = [frame["item"] for frame in self.wire if frame["type"] == "conversation.item.create"]
        return [(item["call_id"], item["output"]) for item in items if item["type"] == "function_call_output"]


def look(what: str = "") -> str:
    """Look at something."""
    return what


TEXT = {"modalities": ["text"], "turn_detection": "none", "input_audio_transcription": False}


@pytest.fixture
def drive() -> Any:
    """Make a core with an open line; ``opened=False`` for one that is still connecting."""

    def make(
        *,
        opened: bool = True,
        runner: Any = None,
        log: Any = None,
        restarts: int = 0,
        at_work: Any = (),
        **config: Any,
    ) -> CoreDriver:
        settings = Config(**{**TEXT, "tools": [as_tool(look)], **config})
        driver = CoreDriver(settings, runner, log, restarts, at_work)
        if opened:
            driver.open()
            driver.clear()
        return driver

    return make

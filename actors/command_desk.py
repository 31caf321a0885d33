"""What callers want of a session: each command, and the provider's answer where one is due. Pure.

*Accepted* commands are answered at once and survive the line; those that need the provider wait for it. Both are held while the
line is down, so many and no more.

Source: DESIGN section 5 ("Accepted"); the session contract, statements 8, 12 and 14.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..gateway import server_events as wire
from ..gateway.config import Config
from ..gateway.errors import ConfigError
from ..gateway.items import system_text, user_text
from ..gateway.response_options import response_params
from ..gateway.wire_types import ErrorDetail, Item
from . import commands as cmd
from .config_updates import ConfigUpdates
from .conversation import Conversation
from .effects import NOTHING, Effect, Effects, Reconfigure, Record, Reject, Resolve
from .errors import InvalidCommand, LineDown
from .input_buffer import InputBuffer
from .item_requests import ItemRequests
from .session_log import ReplyAsked
from .tool_errors import ToolDefinitionError

HELD_COMMANDS = 1000
"""How many commands a session accepts while its line is down."""


class Toolbox(Protocol):
    """What can be run, as far as the pure core has to know: see :mod:`trunkline.actors.tool_box`."""

    tools: dict[str, Any]

    def check(self, candidates: Iterable[object] | None) -> None:
        """See whether tools could be run; raises ToolDefinitionError."""
        ...

    def learn(self, candidates: Iterable[object] | None) -> bool:
        """Take in the tools of one response; raises ToolDefinitionError or InvalidCommand."""
        ...

    def configured(self, config: Config) -> None:
        """The session has another configuration: its tools replace those of the last one."""
        ...


class CommandDesk:
    """Takes commands.

    Args:
        conversation: what is said.
        updates: the configuration.
        audio: the input buffer.
        toolbox: what can be run.
        new_id: makes a unique id from a prefix.
    """

    def __init__(
        self,
        conversation: Conversation,
        updates: ConfigUpdates,
        audio: InputBuffer,
        toolbox: Toolbox,
        new_id: Callable[[str], str],
    ) -> None:
        self._conversation = conversation
        self._updates = updates
        self._audio = audio
        self._toolbox = toolbox
        self._new_id = new_id
        self._items = ItemRequests(new_id)
        self._up = False
        self._held = 0
        self._takers: dict[type[Any], Callable[[Any, int | None, float], Effects]] = {
            cmd.SendAudio: self._send_audio,
            cmd.SendText: self._send_text,
            cmd.SendSystemText: self._send_system_text,
            cmd.SendImage: self._send_image,
            cmd.CreateItem: self._create_item,
            cmd.DeleteItem: self._delete_item,
            cmd.RetrieveItem: self._retrieve_item,
            cmd.CommitAudio: self._commit_audio,
            cmd.ClearAudio: self._clear_audio,
            cmd.CreateResponse: self._create_response,
            cmd.Interrupt: self._interrupt,
            cmd.ReportPlayback: self._report_playback,
            cmd.Update: self._update,
            cmd.UpdateInstructions: self._update_instructions,
            cmd.GetInstructions: self._get_instructions,
            cmd.GetHistory: self._get_history,
            cmd.GetUsage: self._get_usage,
        }

    def take(self, command: cmd.SessionCommand, token: int | None, now: float) -> Effects:
        """Somebody wants something; ``token`` is where the answer goes, if anywhere."""
        if not self._up and isinstance(command, cmd.HELD):
            if self._held >= HELD_COMMANDS:
                return _refuse(token, LineDown(type(command).__name__))
            self._held += 1
        return self._takers[type(command)](command, token, now)

    # -- what the session hears

    def handlers(self) -> dict[type[Any], Callable[[Any, float], Effects]]:
        """Return who handles which answer of the provider."""
        return {
            wire.ConversationItemDeleted: self._items.deleted,
            wire.ConversationItemRetrieved: self._items.retrieved,
            wire.InputAudioBufferSpeechStarted: self._audio.speech_started,
            wire.InputAudioBufferCommitted: self._audio.committed,
        }

    @property
    def waits(self) -> bool:
        """Whether the provider owes an answer."""
        return self._updates.busy or self._items.busy

    def line_up(self) -> Effects:
        """There is a line, and the conversation is on it: ask what waits for the provider."""
        self._up, self._held = True, 0
        return self._items.line_up()

    def line_down(self) -> None:
        """The line is lost."""
        self._up = False
        self._items.line_down()

    def refused(self, detail: ErrorDetail) -> Effects | None:
        """The provider refused an event: effects if somebody here waits for its answer, else None."""
        effects = self._updates.refused(detail)
        return self._items.refused(detail) if effects is None else effects

    def timed_out(self, kind: str, event_id: str) -> Effects:
        """No answer came in time."""
        return self._updates.timed_out(event_id) if kind == "update" else self._items.timed_out(event_id)

    # -- what is said

    def _send_text(self, command: cmd.SendText, token: int | None, _now: float) -> Effects:
        return self._say(user_text(command.text, item_id=self._new_id("item")), token)

    def _send_image(self, command: cmd.SendImage, token: int | None, _now: float) -> Effects:
        return self._say(command.item(self._new_id("item")), token)

    def _say(self, item: Item, token: int | None) -> Effects:
        return _accept(self._conversation.say(item), token, item.id)

    def _send_system_text(self, command: cmd.SendSystemText, token: int | None, _now: float) -> Effects:
        item_id = self._new_id("item")
        added = self._conversation.add(system_text(command.text, item_id=item_id))
        return _accept(added, token, item_id)

    def _create_item(self, command: cmd.CreateItem, token: int | None, _now: float) -> Effects:
        item = command.with_id(self._new_id)
        if self._conversation.holds(item.id or ""):
            return _refuse(token, InvalidCommand(f"there is an item {item.id!r} already: leave the id out"))
        return _accept(self._conversation.add(item, command.previous_item_id), token, item.id)

    def _delete_item(self, command: cmd.DeleteItem, token: int | None, _now: float) -> Effects:
        return self._items.ask("delete_item", command.item_id, token)

    def _retrieve_item(self, command: cmd.RetrieveItem, token: int | None, _now: float) -> Effects:
        return self._items.ask("retrieve_item", command.item_id, token)

    # -- audio

    def _send_audio(self, command: cmd.SendAudio, token: int | None, now: float) -> Effects:
        return self._audio.append(command.data, command.epoch, token, now)

    def _commit_audio(self, _command: cmd.CommitAudio, token: int | None, _now: float) -> Effects:
        return self._audio.commit(token, self._conversation.ask)

    def _clear_audio(self, _command: cmd.ClearAudio, token: int | None, _now: float) -> Effects:
        return self._audio.clear(token)

    # -- responses

    def _create_response(self, command: cmd.CreateResponse, token: int | None, _now: float) -> Effects:
        options = command.options
        if options is None:
            return _accept(self._conversation.ask(), token)
        learned: list[Effect] = []
        if options.tools:
            try:
                new = self._toolbox.learn(options.tools)
            except (InvalidCommand, ToolDefinitionError) as error:
                return _refuse(token, error)
            if new:
                learned = [Reconfigure(self._updates.config, dict(self._toolbox.tools))]
        return _accept([*learned, *self._conversation.ask(response_params(options))], token)

    def _interrupt(self, _command: cmd.Interrupt, token: int | None, now: float) -> Effects:
        return [*self._conversation.interrupt("manual", now), *_resolve(token)]

    def _report_playback(self, command: cmd.ReportPlayback, token: int | None, _now: float) -> Effects:
        self._conversation.playback_reported(command.item_id, command.played_ms)
        return _resolve(token)

    # -- the configuration

    def _update(self, command: cmd.Update, token: int | None, _now: float) -> Effects:
        try:
            self._toolbox.check(command.overrides.get("tools"))
            if not self._updates.busy:  # else it may go with what is on its way
                self._updates.config.replace(**command.overrides)
        except (ConfigError, ToolDefinitionError) as error:
            return _refuse(token, error)
        return self._updates.want(command.overrides, token, "update")

    def _update_instructions(
        self, command: cmd.UpdateInstructions, token: int | None, _now: float
    ) -> Effects:
        return self._updates.want({"instructions": command.instructions}, token, "update_instructions")

    # -- questions

    def _get_instructions(self, _command: cmd.GetInstructions, token: int | None, _now: float) -> Effects:
        return _resolve(token, self._updates.config.instructions)

    def _get_history(self, _command: cmd.GetHistory, token: int | None, _now: float) -> Effects:
        return _resolve(token, self._conversation.history())

    def _get_usage(self, _command: cmd.GetUsage, token: int | None, _now: float) -> Effects:
        return _resolve(token, self._conversation.usage())


def _accept(effects: Effects, token: int | None, value: Any = None) -> list[Effect]:
    """Accepted is what is in the log: it gets there first, then the caller is told, then the provider.

    So a command whose future failed with a crash is not answered all the same. The wish for a reply is written before the
    item: alone it is nothing, while an item alone would be told to the provider again and never answered.
    """
    records = [effect for effect in effects if isinstance(effect, Record)]
    wishes = [record for record in records if isinstance(record.entry, ReplyAsked)]
    items = [record for record in records if record not in wishes]
    others = [effect for effect in effects if not isinstance(effect, Record)]
    return [*wishes, *items, *_resolve(token, value), *others]


def _resolve(token: int | None, value: Any = None) -> list[Effect]:
    return [] if token is None else [Resolve(token, value)]


def _refuse(token: int | None, error: Exception) -> Effects:
    return NOTHING if token is None else [Reject(token, error)]

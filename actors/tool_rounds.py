"""Rounds of tools: from the calls that a turn completed to the reply that is asked for to their outputs. Pure.

Its effects are those of a line that is up; whoever calls leaves the sends out while it is down.

Source: the session contract, statements 2, 3, 4 and 7; defect 17 (a bound on rounds).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..gateway.config import Config
from .effects import Effect, Effects, Record
from .events import Error, Interrupted, InterruptReason
from .ledger import Ledger
from .memory import OpenBatch
from .reply_gate import ReplyGate
from .session_log import CallsEnded
from .tool_batches import ToolBatches
from .tool_outcome import ToolOutcome
from .turns import CallDraft, Turn


class ToolRounds:
    """What becomes of tool calls, with what that means for replies.

    Args:
        config: the session's.
        gate: is asked for a reply to the outputs.
        batches: the calls and their outcomes.
        ledger: takes in calls and outputs.
    """

    def __init__(self, config: Config, gate: ReplyGate, batches: ToolBatches, ledger: Ledger) -> None:
        self._config = config
        self._gate = gate
        self._batches = batches
        self._ledger = ledger
        self._rounds = 0

    def user_spoke(self) -> None:
        """The count begins anew with each word of the user."""
        self._rounds = 0

    def another(self) -> None:
        """One more round without a word of the user."""
        self._rounds += 1

    def runnable(self, turn: Turn, status: str) -> list[CallDraft]:
        """The calls that get an output: all that were completed, dropped ones and those of a hidden response excepted."""
        if status != "completed" or not turn.default or not turn.announced:
            return []
        dropped = turn.interrupted and self._config.on_interrupt == "drop"
        return [
            call
            for call in turn.calls.values()
            if call.completed
            and not self._batches.holds(call.call_id)
            and (not dropped or self._config.settle_dropped_calls or self._batches.is_background(call))
        ]

    def begin(self, turn: Turn, calls: list[CallDraft], line: int | None) -> Effects:
        """A turn is over, and these of its calls are to be answered."""
        if not calls:
            return ()
        self.another()
        return self._batches.start(turn.turn_id, calls, line or 0, interrupted=turn.interrupted)

    def resume(
        self, batches: Mapping[str, OpenBatch], at_work: Collection[str], line: int | None
    ) -> list[Effect]:
        """Go on with what an earlier incarnation began; ``at_work``: the calls whose workers outlived it."""
        restored = self._batches.restore(batches, at_work)
        # The crash came in the middle of their interruption: nobody waits for them, and that comes before their end.
        gone = [turn_id for turn_id in batches if not self._batches.has(turn_id)]
        dropped = [effect for turn_id in gone for effect in self._gate.drop(turn_id)]
        open_turns = (turn_id for turn_id in batches if turn_id not in gone)
        return [*dropped, *restored, *(effect for one in open_turns for effect in self.settle(one, line))]

    def finished(self, outcome: ToolOutcome, line: int | None) -> list[Effect]:
        """A tool worker is done with a call."""
        turn_id, effects = self._batches.finished(outcome)
        return [*effects, *(self._submit(turn_id, line) if turn_id else ())]

    def timed_out(self, call_id: str, line: int | None) -> list[Effect]:
        """A tool took too long."""
        turn_id, effects = self._batches.timed_out(call_id)
        return [*effects, *(self._submit(turn_id, line) if turn_id else ())]

    def approved(self, call_id: str) -> Effects:
        """A call was allowed to run."""
        return self._batches.approved(call_id)

    def settle(self, turn_id: str, line: int | None) -> list[Effect]:
        """Submit a turn's outputs, if all are there."""
        return self._submit(turn_id, line) if self._batches.ready(turn_id) else []

    @property
    def idle(self) -> bool:
        """Whether no calls wait for their outputs."""
        return self._batches.idle

    def open_turns(self) -> list[str]:
        """The turns whose tools an interruption would stop."""
        return self._batches.open_turns()

    def interrupt(
        self, turn_id: str, reason: InterruptReason, audio_end_ms: int | None, line: int | None
    ) -> list[Effect]:
        """The user cut a turn off whose tools are at work."""
        submits, effects = self._batches.interrupt(turn_id)
        told = Interrupted(turn_id, reason, audio_end_ms)
        if not submits:
            return [told, *_ending(effects, self._gate.drop(turn_id))]
        return [told, *effects, *self.settle(turn_id, line)]

    def stop(self, reason: str) -> Effects:
        """End all tools: the session is over."""
        return self._batches.drop_all(reason)

    def _submit(self, turn_id: str, line: int | None) -> list[Effect]:
        dropped = self._batches.was_dropped(turn_id)
        last, effects = self._batches.submit(turn_id, line, self._ledger.history.last)
        self._ledger.take(effects)
        return _ending(effects, self._gate.drop(turn_id) if dropped else self.reply(last, turn_id))

    def reply(self, ask_id: str, turn_id: str) -> list[Effect]:
        """Ask for a reply to what a turn's tools brought, unless there were too many rounds of that."""
        if self._rounds > self._config.max_tool_rounds:
            message = (
                f"{self._rounds} rounds of tools without a word of the user: no further reply is asked for"
            )
            stop = Error("too_many_tool_rounds", message, recoverable=True)
            return [*self._gate.drop(turn_id), stop]
        return list(self._gate.ask(ask_id, instead_of=turn_id))


def _ending(effects: Effects, reply: Effects) -> list[Effect]:
    """Write down who waits for a reply, or for none any more, before the calls end: a crash between the two carries both on."""
    ended = next(
        index
        for index, effect in enumerate(effects)
        if isinstance(effect, Record) and isinstance(effect.entry, CallsEnded)
    )
    records = [effect for effect in reply if isinstance(effect, Record)]
    others = [effect for effect in reply if not isinstance(effect, Record)]
    return [*effects[:ended], *records, *effects[ended:], *others]

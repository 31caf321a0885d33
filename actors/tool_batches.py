"""The tool calls of finished turns: who runs, what came of each, and when a batch is submitted. Pure.

Every call that the model completed leads to exactly one output, in the model's order, whatever happened to the tool;
calls dropped by an interruption under the policy ``drop`` are the one exception.

Source: the session contract, statements 2, 4 and 7.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from ..gateway.items import function_call, function_call_output
from ..gateway.wire_types import Item
from .effects import Effect, Effects, Record, Send, StartTimer, StartTool, StopTimer, StopTool
from .events import Error, ToolBatchSubmitted, ToolCallCompleted, ToolCallDispatched
from .item_creation import answered_call, create_item
from .memory import OpenBatch
from .session_log import CallsBegan, CallsEnded, CallSettled, CallsInterrupted, ItemRecorded
from .skipped_calls import call_failed
from .tool_arguments import parse_arguments
from .tool_errors import ToolArgumentsError
from .tool_outcome import ToolOutcome
from .tool_runner import ToolRunner
from .tool_terms import ToolTerms
from .turns import CallDraft

_NO_LINE = -1  # what an earlier incarnation began came from a line that is gone
Policy: TypeAlias = Literal["drop", "submit_completed_only", "submit"]


@dataclass(slots=True)
class _Call:
    """One call of a batch."""

    draft: CallDraft
    args: Mapping[str, Any] = field(default_factory=dict[str, Any])
    running: bool = False
    may_have_run: bool = False
    outcome: ToolOutcome | None = None


@dataclass(slots=True)
class _Batch:
    """The calls of one turn, in the model's order."""

    turn_id: str
    line: int
    calls: list[_Call]
    interrupted: bool = False


class ToolBatches:
    """All batches that are not submitted yet, by turn."""

    def __init__(
        self,
        runner: ToolRunner,
        new_id: Callable[[str], str],
        terms: Mapping[str, ToolTerms],
        policy: Policy,
        *,
        settle_dropped: bool,
        takes_calls: bool = True,
    ) -> None:
        self._runner = runner
        self._new_id = new_id
        self._terms = terms
        self._policy = policy
        self._settle_dropped = settle_dropped
        self._takes_calls = takes_calls
        self._batches: dict[str, _Batch] = {}
        self._calls: dict[str, tuple[_Batch, _Call]] = {}

    @property
    def idle(self) -> bool:
        """Whether there is no batch."""
        return not self._batches

    def open_turns(self) -> list[str]:
        """The turns whose tools an interruption would stop: still at work, not interrupted yet, not all in the background."""
        return [
            batch.turn_id
            for batch in self._batches.values()
            if not batch.interrupted and not all(self.is_background(call.draft) for call in batch.calls)
        ]

    def is_background(self, draft: CallDraft) -> bool:
        """Whether this call's tool goes on when the user interrupts."""
        terms = self._terms.get(draft.name)
        return terms is not None and terms.background

    def holds(self, call_id: str) -> bool:
        """Whether an output is due for this call; a second call of the same id cannot be answered beside it."""
        return call_id in self._calls

    def start(
        self, turn_id: str, drafts: Collection[CallDraft], line: int, *, interrupted: bool = False
    ) -> Effects:
        """Begin a turn's calls: bad ones fail at once, the others wait for the runner's word.

        ``interrupted``: the turn was cut off, but the model had completed its calls before it heard of that; under every
        policy but ``submit`` they are answered without being run, except those in the background.
        """
        calls = [_Call(draft) for draft in sorted(drafts, key=lambda draft: draft.output_index)]
        batch = self._open(_Batch(turn_id, line, calls, interrupted))
        effects: list[Effect] = [_began(batch), *([Record(CallsInterrupted(turn_id))] if interrupted else [])]
        for call in calls:
            refusal = self._check(call)
            if interrupted and not self._submits(call):
                refusal = ToolOutcome.failed(call.draft.call_id, call.draft.name, "cancelled")
            if refusal is not None:
                effects += self._settle(batch, call, refusal)
        return [*effects, *self._admit()]

    def restore(self, memory: Mapping[str, OpenBatch], at_work: Collection[str]) -> Effects:
        """Go on with what an earlier incarnation began: what has its output is not run again, nor what is ``at_work``.

        It may have crashed in the middle of an interruption: that is carried through.
        """
        effects: list[Effect] = []
        for turn_id, remembered in memory.items():
            calls = [
                _Call(_draft(item, index), may_have_run=True) for index, item in enumerate(remembered.calls)
            ]
            batch = self._open(_Batch(turn_id, _NO_LINE, calls))
            for call in calls:
                draft = call.draft
                settled = remembered.outputs.get(draft.call_id)
                if settled is not None:
                    call.outcome = ToolOutcome(
                        draft.call_id, draft.name, settled.output, ok=settled.failure is None
                    )
                elif (refusal := self._check(call)) is not None:
                    effects += self._settle(batch, call, refusal)
                elif draft.call_id in at_work:
                    effects += self._run(call)
        for turn_id, remembered in memory.items():
            if remembered.interrupted:
                effects += self.interrupt(turn_id)[1]
        return [*effects, *self._admit()]

    def has(self, turn_id: str) -> bool:
        """Whether outputs of this turn are still to be submitted."""
        return turn_id in self._batches

    def finished(self, outcome: ToolOutcome) -> tuple[str | None, Effects]:
        """A worker is done. Returns the turn that is now complete, if any, and effects; late outcomes are dropped."""
        batch, call = self._calls.get(outcome.call_id, (None, None))
        if batch is None or call is None or call.outcome is not None:
            return None, ()
        effects = self._settle(batch, call, outcome)
        return self._complete(batch), [*effects, *self._admit()]

    def timed_out(self, call_id: str) -> tuple[str | None, Effects]:
        """A call took too long: its worker is stopped and the model is told."""
        batch, call = self._calls.get(call_id, (None, None))
        if batch is None or call is None or call.outcome is not None:
            return None, ()
        turn_id, effects = self.finished(ToolOutcome.failed(call_id, call.draft.name, "timeout"))
        return turn_id, [StopTool(call_id, "timeout"), *effects]

    def approved(self, call_id: str) -> Effects:
        """A call was allowed to run: its time begins now."""
        _, call = self._calls.get(call_id, (None, None))
        terms = None if call is None else self._terms.get(call.draft.name)
        if call is None or not call.running or terms is None or terms.timeout_s is None:
            return ()
        return [StartTimer(("tool", call_id), terms.timeout_s)]

    def was_dropped(self, turn_id: str) -> bool:
        """Whether this turn's tools were interrupted and its outputs, if any are submitted, ask for no reply."""
        batch = self._batches[turn_id]
        kept = any(self.is_background(call.draft) for call in batch.calls)
        return batch.interrupted and self._policy == "drop" and not kept

    def ready(self, turn_id: str) -> bool:
        """Whether all calls of this turn have their outcome."""
        batch = self._batches.get(turn_id)
        return batch is not None and self._complete(batch) is not None

    def submit(self, turn_id: str, line: int | None, newest: str) -> tuple[str, Effects]:
        """Send the outputs of a complete turn, in the model's order. Returns the last output's item id, and effects.

        ``newest``: the item that ends the conversation: a call that has to be told again with its output comes behind it.
        """
        batch = self._batches.pop(turn_id)
        # On another line than the one the calls came from, the provider has never seen them.
        known = batch.line == line
        moves = line is not None and not known and self._takes_calls
        effects: list[Effect] = []
        last = ""
        for call in batch.calls:
            outcome = call.outcome
            if outcome is None:
                continue
            del self._calls[call.draft.call_id]
            behind = (last or newest) if moves else None
            last = self._new_id("item")
            draft = call.draft
            call_item = draft.item_id or self._new_id("item")
            pair = (
                function_call(draft.call_id, draft.name, draft.arguments or "{}", item_id=call_item),
                function_call_output(draft.call_id, outcome.output, item_id=last),
            )
            effects += [Record(ItemRecorded(pair[0], behind)), Record(ItemRecorded(pair[1]))]
            told = pair[1:] if known else answered_call(*pair, takes_calls=self._takes_calls)
            effects += [Send(create_item(item)) for item in told]
        effects += [
            Record(CallsEnded(turn_id)),
            ToolBatchSubmitted(turn_id, tuple(call.draft.call_id for call in batch.calls)),
        ]
        return last, effects

    def interrupt(self, turn_id: str) -> tuple[bool, Effects]:
        """The turn was interrupted: apply the policy. Returns whether outputs will still be submitted, and effects."""
        batch = self._batches.get(turn_id)
        if batch is None or batch.interrupted:
            return False, ()
        batch.interrupted = True
        effects: list[Effect] = [Record(CallsInterrupted(turn_id))]
        kept = [call for call in batch.calls if self._submits(call)]
        if len(kept) == len(batch.calls):
            return True, effects
        replaced = self._replace_outputs(batch) if self._policy == "drop" and self._settle_dropped else []
        effects += self._cancel(batch, [call for call in batch.calls if call not in kept], "interrupted")
        if self._policy == "submit_completed_only" or self._settle_dropped:
            return True, [*replaced, *effects, *self._admit()]
        if kept:
            for call in batch.calls:
                if call not in kept:
                    del self._calls[call.draft.call_id]
            batch.calls = kept
            return True, [*effects, *self._admit()]
        return False, [*effects, *self._forget(batch), *self._admit()]

    def drop_all(self, reason: str) -> Effects:
        """Stop everything: the line is gone, and what the model asked for with it."""
        effects: list[Effect] = []
        for batch in list(self._batches.values()):
            effects += self._cancel(batch, batch.calls, reason)
            effects += self._forget(batch)
        return effects

    # -- steps

    def _check(self, call: _Call) -> ToolOutcome | None:
        draft = call.draft
        if draft.name not in self._terms:
            return ToolOutcome.failed(draft.call_id, draft.name, "unknown_tool")
        try:
            call.args = parse_arguments(draft.arguments)
        except ToolArgumentsError as error:
            return ToolOutcome.failed(draft.call_id, draft.name, "invalid_arguments", str(error))
        return None

    def _admit(self) -> list[Effect]:
        waiting = [key for key, (_, call) in self._calls.items() if not call.running and call.outcome is None]
        running = sum(call.running for _, call in self._calls.values())
        if not waiting:
            return []
        admitted, effects = self._choose(waiting, running)
        for call_id in admitted:
            batch, call = self._calls[call_id]
            draft = call.draft
            effects += [
                ToolCallDispatched(batch.turn_id, call_id, draft.name, call.args, draft.item_id),
                StartTool(batch.turn_id, call_id, draft.name, draft.arguments, call.may_have_run),
                *self._run(call),
            ]
        return effects

    def _run(self, call: _Call) -> list[Effect]:
        call.running = True
        terms = self._terms.get(call.draft.name)
        if terms is None or terms.timeout_s is None:
            return []
        # Until it is known to be approved, it has the time for that as well.
        return [StartTimer(("tool", call.draft.call_id), terms.approval_s + terms.timeout_s)]

    def _submits(self, call: _Call) -> bool:
        return self._policy == "submit" or self.is_background(call.draft)

    def _choose(self, waiting: list[str], running: int) -> tuple[list[str], list[Effect]]:
        """Ask the runner; one that fails, or would have everybody wait for ever, is overruled and reported."""
        admitted: list[str] = []
        try:
            admitted = list(
                dict.fromkeys(key for key in self._runner.admit(waiting, running) if key in waiting)
            )
            fault = "" if admitted or running else "it admits none while none is running"
        except Exception as error:  # noqa: BLE001 - foreign code at the border; reported
            fault = f"admit() raised {type(error).__name__}: {error}"
        if not fault:
            return admitted, []
        return waiting, [
            Error("tool_runner_failed", f"the tool runner is passed over: {fault}", recoverable=True)
        ]

    def _settle(self, batch: _Batch, call: _Call, outcome: ToolOutcome) -> list[Effect]:
        draft, was_running = call.draft, call.running
        call.outcome, call.running = outcome, False
        effects: list[Effect] = [_settled(batch, outcome)]
        if was_running:
            effects.append(StopTimer(("tool", draft.call_id)))
        if outcome.error is None:
            done = ToolCallCompleted(batch.turn_id, draft.call_id, draft.name, outcome.result, draft.item_id)
            return [*effects, done]
        failure = outcome.error
        return [*effects, call_failed(batch.turn_id, draft, failure.code, failure.detail or failure.message)]

    def _cancel(self, batch: _Batch, calls: list[_Call], reason: str) -> list[Effect]:
        """End what has no outcome yet. All tools are told first: to write down what that means may take longer than they have."""
        calls = [call for call in calls if call.outcome is None]
        effects: list[Effect] = [StopTool(call.draft.call_id, reason) for call in calls if call.running]
        for call in calls:
            outcome = ToolOutcome.failed(call.draft.call_id, call.draft.name, "cancelled")
            effects += self._settle(batch, call, outcome)
        return effects

    def _replace_outputs(self, batch: _Batch) -> list[Effect]:
        """Under ``drop`` with ``settle_dropped_calls``, even finished calls are answered with "cancelled"."""
        effects: list[Effect] = []
        for call in batch.calls:
            if call.outcome is not None and not self.is_background(call.draft):
                call.outcome = ToolOutcome.failed(call.draft.call_id, call.draft.name, "cancelled")
                effects.append(_settled(batch, call.outcome))
        return effects

    @staticmethod
    def _complete(batch: _Batch) -> str | None:
        return batch.turn_id if all(call.outcome is not None for call in batch.calls) else None

    def _open(self, batch: _Batch) -> _Batch:
        self._batches[batch.turn_id] = batch
        for call in batch.calls:
            self._calls[call.draft.call_id] = (batch, call)
        return batch

    def _forget(self, batch: _Batch) -> list[Effect]:
        del self._batches[batch.turn_id]
        for call in batch.calls:
            self._calls.pop(call.draft.call_id, None)
        return [Record(CallsEnded(batch.turn_id))]


def _began(batch: _Batch) -> Record:
    items = [
        function_call(one.draft.call_id, one.draft.name, one.draft.arguments, item_id=one.draft.item_id)
        for one in batch.calls
    ]
    return Record(CallsBegan(batch.turn_id, tuple(items)))


def _settled(batch: _Batch, outcome: ToolOutcome) -> Record:
    failure = None if outcome.error is None else outcome.error.code
    return Record(CallSettled(batch.turn_id, outcome.call_id, outcome.output, failure))


def _draft(item: Item, index: int) -> CallDraft:
    return CallDraft(
        item.call_id or "",
        item.name or "",
        item.id,
        index,
        item.arguments or "",
        announced=True,
        completed=True,
    )

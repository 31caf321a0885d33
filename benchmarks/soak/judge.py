"""What one session of the soak showed its subscriber, and what of it is wrong. Pure: events and times come in.

Words. *Accepted*: the command's future resolved. *Cut*: interrupted on purpose. *Answered*: a final text or transcript that
carries the message's token was delivered. *Completed*: its turn ended with status completed. See ``__main__`` for the figures.
"""

import re
from collections import Counter, deque
from dataclasses import dataclass, field

from trunkline import (
    AssistantText,
    AssistantTextDelta,
    AssistantTranscript,
    AssistantTranscriptDelta,
    AssistantTurnCompleted,
    AssistantTurnStarted,
    Error,
    Event,
    Interrupted,
    SessionClosed,
    SessionOpened,
    SessionUpdated,
    ToolCallCompleted,
    ToolCallDispatched,
    ToolCallFailed,
    UserTranscript,
)

TOKEN = re.compile(r"\bt\d+x\d+x\d+\b")
AUDIT = re.compile(r"users (\S*) outputs (\S*) end")
KEPT = 80
EXPECTED = {"connection_lost", "session_expired", "malformed_frame", "malformed_event"}
"""What the faults bring about: ends of lines, and events that cannot be read."""
DOUBLED_SOUND = "is already shorter than"
"""So the provider refuses a truncation when one of its audio deltas came twice: more was heard than it has."""


@dataclass(frozen=True)
class Violation:
    """Something that must not be."""

    figure: str
    session: str
    text: str


@dataclass
class Turn:
    """One response, as its events tell it."""

    tokens: set[str] = field(default_factory=set[str])
    round: int = 0
    idle: bool = False
    status: str | None = None
    cut: bool = False
    given_up: bool = False


class Judge:
    """Takes a session's events, in order."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.accepted: list[str] = []
        self.spoken: set[str] = set()
        self.cut: set[str] = set()
        self._round = 0
        self._n_said = 0
        self._cut_rounds: set[int] = set()
        self._not_heard: list[str] = []
        self.refused: set[str] = set()
        self.audit: tuple[list[str], Counter[str]] | None = None
        self.turns: dict[str, Turn] = {}
        self._parts: set[tuple[str, str | None, int]] = set()
        self.errors: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.completed: Counter[str] = Counter()
        self.settled_calls: Counter[str] = Counter()
        self.dispatched: dict[str, str] = {}
        self.reruns = self.answered_all_the_same = 0
        self.resumptions = 0
        self.losses = self.rollovers = 0
        self.closed: list[SessionClosed] = []
        self.opened = 0
        self.violations: list[Violation] = []
        self.recent: deque[str] = deque(maxlen=KEPT)
        self._n_events = 0
        self.streaming: str | None = None

    def take(self, event: Event, at_s: float) -> None:
        """Note an event."""
        self._n_events += 1
        if not isinstance(event, AssistantTextDelta | AssistantTranscriptDelta) or event.delta.strip():
            self.recent.append(f"{at_s:8.3f} {event!r:.240}")
        match event:
            case SessionOpened():
                self.opened += 1
                if self._n_events > 1:
                    self._wrong("order of events", "session_opened was not the first event")
            case SessionUpdated(rolled_over=True):
                self.rollovers += 1
            case SessionUpdated(resumed=True):
                self.resumptions += 1
            case SessionClosed():
                self.closed.append(event)
            case Error(code=code):
                self.errors[code] += 1
                self.losses += code == "connection_lost"
                if code not in EXPECTED and DOUBLED_SOUND not in event.message:
                    self._wrong("errors that no fault explains", f"{code}: {event.message}")
            case UserTranscript(text=text, error=None):
                self._heard(text)
            case AssistantTurnStarted(turn_id=turn_id):
                self.turn(turn_id)
            case AssistantTextDelta(turn_id=turn_id) | AssistantTranscriptDelta(turn_id=turn_id):
                self.streaming = turn_id
                if self.turn(turn_id).cut:
                    self._wrong("deltas after interrupted", f"a delta of {turn_id} after interrupted")
            case AssistantText(turn_id=turn_id, text=text) | AssistantTranscript(turn_id=turn_id, text=text):
                self._said(turn_id, text)
                part = (turn_id, event.item_id, event.content_index)
                if part in self._parts:
                    self._wrong("duplicated answers", f"one part of {turn_id} was told twice: {text:.40}")
                self._parts.add(part)
            case AssistantTurnCompleted(turn_id=turn_id, status=status):
                self._completed(turn_id, status)
            case Interrupted(turn_id=turn_id, reason=reason):
                self._interrupted(turn_id, reason)
            case ToolCallDispatched(turn_id=turn_id, call_id=call_id):
                if self.settled_calls[call_id]:
                    self._wrong("tools run after their outcome", f"{call_id} was dispatched again")
                self.dispatched[call_id] = turn_id
            case ToolCallCompleted(call_id=call_id) | ToolCallFailed(call_id=call_id):
                self.settled_calls[call_id] += 1
                if isinstance(event, ToolCallCompleted) and call_id not in self.dispatched:
                    self._wrong("order of events", f"{call_id} is completed and was not dispatched")
            case _:
                pass

    def turn(self, turn_id: str) -> Turn:
        return self.turns.setdefault(turn_id, Turn(round=self._round))

    # -- what the caller does

    def next_round(self) -> None:
        """Everything said so far is settled, and the caller goes on. While it is refused everything, it is where it was."""
        n_said = len(self.accepted) + len(self.spoken)
        self._round += n_said > self._n_said
        self._n_said = n_said

    def cut_off(self, token: str) -> None:
        """The caller does not want the answer to this message any more."""
        self.cut.add(token)
        self._cut_rounds.add(self._round)

    # -- what the caller asks

    def is_settled(self, token: str) -> bool:
        """Whether nothing more is to come for this message."""
        return bool(self.answers[token]) or token in self.cut

    def open_turns(self) -> list[str]:
        return [turn_id for turn_id, turn in self.turns.items() if turn.status is None and not turn.given_up]

    def turns_completed(self) -> int:
        return sum(turn.status == "completed" for turn in self.turns.values())

    # -- verdicts

    def never_answered(self, token: str, waited_s: float) -> None:
        self._wrong("turns lost", f"{token} was accepted and not answered within {waited_s:.0f} s")

    def not_heard(self, token: str) -> None:
        """It was spoken on a line that held, and no transcript came so far. On a machine that is busy it may come later."""
        self._not_heard.append(token)

    def never_ended(self) -> None:
        for turn_id in self.open_turns():
            self.turns[turn_id].given_up = True
            self._wrong("turns without an end", f"{turn_id} began and no assistant_turn_completed came")

    def unresolved(self, what: str) -> None:
        self._wrong("unresolved futures", what)

    def ended(self) -> None:
        self._wrong("sessions lost", f"the session ended: {self.closed}")

    def conclude(self, runs: Counter[str]) -> None:
        """The session is quiescent: judge it as a whole. `runs`: how often each call's tool was run."""
        for token, n in self.completed.items():
            if n > 1 and token not in self.cut:
                self._wrong("duplicated answers", f"{token} was answered by {n} completed turns")
        for turn_id, turn in self.turns.items():
            # There an answer to nothing can be meant: the model may call the tools that were dropped once more, in the answer to
            # what is said next, and what is said behind that is asked for by itself.
            excused = self._cut_rounds.intersection(range(turn.round - 2, turn.round + 1))
            if turn.idle and turn.status == "completed" and not excused:
                self._wrong("duplicated answers", f"asked the provider again for nothing new: {turn_id}")
        self.never_ended()
        if len(self.closed) != 1 or self.opened != 1:
            self._wrong("order of events", f"{self.opened} session_opened, {len(self.closed)} session_closed")
        self.answered_all_the_same = sum(token in self.answers for token in self.refused)
        for token in self._not_heard:
            if token not in self.spoken:
                self._wrong(
                    "accepted messages lost", f"{token} was spoken on a line that held, and not transcribed"
                )
        self._judge_messages()
        self._judge_tools(runs)

    def _judge_messages(self) -> None:
        if self.audit is None:
            return
        there = Counter(self.audit[0])
        for token in [*self.accepted, *self.spoken]:
            if there[token] != 1:
                self._wrong("accepted messages lost", f"{token} is {there[token]} times in the conversation")
        typed = [token for token in self.audit[0] if token in self.accepted]
        if typed != [token for token in self.accepted if token in there]:
            self._wrong("accepted messages lost", f"out of order: {typed}")

    def _judge_tools(self, runs: Counter[str]) -> None:
        outputs = self.audit[1] if self.audit is not None else Counter[str]()
        for call_id in {*outputs, *self.dispatched, *self.settled_calls}:
            self.reruns += runs[call_id] > 1
            if outputs[call_id] > 1 or self.settled_calls[call_id] > 1:
                n = f"{outputs[call_id]} outputs, {self.settled_calls[call_id]} outcomes"
                self._wrong("tool outputs missing or doubled", f"{call_id} has {n}")
        for call_id, turn_id in self.dispatched.items():
            if not self.settled_calls[call_id] and not self.turn(turn_id).cut:
                self._wrong("tool outputs missing or doubled", f"{call_id} has no outcome")
            if self.audit is not None and not outputs[call_id] and not self.turn(turn_id).cut:
                self._wrong("tool outputs missing or doubled", f"{call_id} has no output")

    # -- events

    def _heard(self, text: str) -> None:
        self.spoken.update(TOKEN.findall(text))

    def _said(self, turn_id: str, text: str) -> None:
        turn = self.turn(turn_id)
        tokens = TOKEN.findall(text.split(" users ", 1)[0])
        turn.tokens.update(tokens)
        turn.idle = turn.idle or text.strip() == "idle"
        self.answers.update(tokens)
        found = AUDIT.search(text)
        if found is not None:
            users = [token for token in found[1].split(",") if token]
            outputs = [pair.partition("=") for pair in found[2].split(",") if pair]
            self.audit = users, Counter({call_id: int(n) for call_id, _, n in outputs})

    def _completed(self, turn_id: str, status: str) -> None:
        turn = self.turn(turn_id)
        if turn.status is not None:
            self._wrong("turns that end twice", f"{turn_id}: {turn.status}, then {status}")
        turn.status = status
        if status == "completed":
            self.completed.update(turn.tokens)

    def _interrupted(self, turn_id: str, reason: str) -> None:
        turn = self.turn(turn_id)
        if turn.cut:
            self._wrong("interrupted twice", turn_id)
        turn.cut = True
        if reason != "error":
            self.cut.update(turn.tokens)
            self._cut_rounds.add(self._round)

    def _wrong(self, figure: str, text: str) -> None:
        self.violations.append(Violation(figure, self.session, text))

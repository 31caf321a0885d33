"""One connection's script while it is followed: where it is, and what was not as it says. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .conversation import Conversation
from .script_steps import Expect, InAnyOrder, Reply, ScriptStep
from .steps import Fail, Step
from .wire_excerpt import summary

MISMATCH_CODE = "script_mismatch"
_MAX_BEFORE = 8


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Something that is not as the script says.

    Args:
        connection: Its number, as in the wire log.
        where: Which step of the script it is, for people.
        expected: What the script says.
        got: What happened instead; empty if nothing did.
        differences: The fields that differ, if the type is right.
        before: What came before it, oldest first.
    """

    connection: int
    where: str
    expected: str
    got: str = ""
    differences: tuple[str, ...] = ()
    before: tuple[str, ...] = ()

    def __str__(self) -> str:
        if not self.got:
            return f"connection {self.connection}, {self.where}, was never reached: {self.expected}"
        lines = [f"connection {self.connection}, {self.where}"]
        lines += [f"  expected  {self.expected}", f"  got       {self.got}"]
        lines += [f"    {difference}" for difference in self.differences]
        lines += ["  before it", *(f"    {line}" for line in self.before or ("(nothing)",))]
        return "\n".join(lines)


class ScriptRun:
    """Follow a script.

    An event that is not expected is noted and otherwise left out: the script goes on waiting. One of the expected type
    with other fields is noted and taken for the expected one. So the first mismatch is the one to look at.

    Args:
        connection: The number of the connection.
        script: The steps, in order.
        ignored: Types of events that may come at any place.
    """

    def __init__(self, connection: int, script: Sequence[ScriptStep], ignored: Collection[str] = ()) -> None:
        self.connection = connection
        self.mismatches: list[Mismatch] = []
        self._script = tuple(script)
        self._ignored = frozenset(ignored)
        self._at = 0
        self._open: list[Expect] = []
        self._before: list[str] = []
        self._arrive()

    @property
    def is_done(self) -> bool:
        """Whether the script is at its end."""
        return self._at == len(self._script)

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take a client event."""
        for index, expected in enumerate(self._open):
            if event.get("type") == expected.type and expected.wanted.matches(event):
                self._take(index, event)
                return
        if event.get("type") in self._ignored:
            return
        same_type = [expected for expected in self._open if expected.type == event.get("type")]
        if not same_type:
            self._note_mismatch(summary(event))
            self._note(f"{summary(event)}  (not expected)")
            return
        closest = min(same_type, key=lambda expected: len(expected.wanted.differences(event)))
        self._note_mismatch(summary(event), tuple(closest.wanted.differences(event)))
        self._take(self._open.index(closest), event)

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Answer a response that begins; one that is not in the script fails."""
        step = None if self.is_done else self._script[self._at]
        if not isinstance(step, Reply):
            got = "a response that has to be answered"
            self._note_mismatch(got)
            self._note(f"{got}  (not expected)")
            return [Fail(MISMATCH_CODE, f"the script of the test has no reply here: {self._expected}")]
        self._note(str(step))
        self._advance()
        return step.steps if step.fn is None else step.fn(conversation)

    def unreached(self) -> list[Mismatch]:
        """Return the steps that nothing has come for yet."""
        missing: list[Mismatch] = []
        for index in range(self._at, len(self._script)):
            step = self._script[index]
            if index == self._at and isinstance(step, InAnyOrder):
                step = InAnyOrder(tuple(self._open))
            missing.append(Mismatch(self.connection, self._place(index), str(step)))
        return missing

    def _take(self, index: int, event: Mapping[str, Any]) -> None:
        self._note(summary(event))
        del self._open[index]
        if not self._open:
            self._advance()

    def _advance(self) -> None:
        self._at += 1
        self._arrive()

    def _arrive(self) -> None:
        step = None if self.is_done else self._script[self._at]
        if isinstance(step, Expect):
            self._open = [step]
        else:
            self._open = list(step.expected) if isinstance(step, InAnyOrder) else []

    @property
    def _expected(self) -> str:
        if self.is_done:
            return "nothing more"
        step = self._script[self._at]
        return str(InAnyOrder(tuple(self._open)) if isinstance(step, InAnyOrder) else step)

    def _place(self, index: int) -> str:
        n = len(self._script)
        return f"step {index + 1} of {n}" if index < n else f"after the last of {n} steps"

    def _note(self, line: str) -> None:
        self._before.append(line)
        del self._before[:-_MAX_BEFORE]

    def _note_mismatch(self, got: str, differences: tuple[str, ...] = ()) -> None:
        self.mismatches.append(
            Mismatch(
                self.connection,
                self._place(self._at),
                self._expected,
                got,
                differences,
                tuple(self._before),
            )
        )

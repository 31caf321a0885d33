"""A brain that follows a script and holds the client to it. Owns a lock; any thread may ask whether it was followed."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from .brains import Brain
from .conversation import Conversation
from .script_run import Mismatch, ScriptRun
from .script_steps import ScriptStep, check_type
from .steps import Step

_MAX_LISTED = 10


class ScriptMismatch(AssertionError):
    """The client did not follow the script: the client's fault, or the script's.

    Attributes:
        mismatches: What was not as expected, in the order in which it happened; the first one is the one to look at.
        unreached: The steps that nothing came for.
    """

    def __init__(self, mismatches: Sequence[Mismatch], unreached: Sequence[Mismatch]) -> None:
        super().__init__(mismatches, unreached)
        self.mismatches = tuple(mismatches)
        self.unreached = tuple(unreached)

    def __str__(self) -> str:
        counts = f"{len(self.mismatches)} not as expected, {len(self.unreached)} never reached"
        return "\n".join(
            [f"the script was not followed: {counts}", *_listed(self.mismatches), *_listed(self.unreached)]
        )


class ScriptBrain:
    """Say exactly what a client sends and what it is answered; anything else is a mismatch.

        script = ScriptBrain([
            expect("session.update"),
            expect("conversation.item.create", item__role="user"),
            expect("response.create"),
            reply(Say("hi")),
        ])
        with Simulator(script) as simulator:
            ...
            script.verify()

    The order is strict. What may come at any place is named in `ignore`, what may come in another order goes into
    `in_any_order`. A response that begins where the script has no `reply` ends with status `failed`, so that the client
    does not wait for it; everything else is served as ever.

    Args:
        scripts: One for each connection, in the order in which clients connect: a second one for the connection after
            a reconnect. Connections that the simulator refuses have none.
        ignore: Types of client events that are let pass wherever the script does not expect just them, as
            `"input_audio_buffer.append"`.

    Raises:
        TypeError: Something in a script is neither `expect`, `in_any_order` nor `reply`: the caller's fault.
        ValueError: `ignore` has a type that no client event has: the caller's fault.
    """

    def __init__(self, *scripts: Sequence[ScriptStep], ignore: Collection[str] = ()) -> None:
        for script in scripts:
            if isinstance(script, ScriptStep):
                raise TypeError(f"a script is a list: ScriptBrain([{script!r}, ...])")
            for step in script:
                if not isinstance(step, ScriptStep):  # pyright: ignore[reportUnnecessaryIsInstance]
                    raise TypeError(
                        f"a script is a list of expect(), in_any_order() and reply(), not {step!r}"
                    )
        for type in [ignore] if isinstance(ignore, str) else ignore:
            check_type(type)
        self._scripts = [tuple(script) for script in scripts]
        self._ignored = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._changed = threading.Condition()
        self._runs: list[ScriptRun] = []
        self._uninvited: list[Mismatch] = []

    def for_connection(self, number: int) -> Brain:
        """Begin the next script; called by the simulator."""
        with self._changed:
            n = len(self._runs)
            run = ScriptRun(number, self._scripts[n] if n < len(self._scripts) else (), self._ignored)
            self._runs.append(run)
            if n >= len(self._scripts):
                count = len(self._scripts)
                expected = f"{count} connection{'' if count == 1 else 's'}"
                self._uninvited.append(Mismatch(number, "not in the script", expected, "one more"))
            self._changed.notify_all()
        return _Follower(run, self._changed)

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Answer by the script of the newest connection; a simulator asks the brains that `for_connection` returns."""
        with self._changed:
            run = self._runs[-1]
        return _Follower(run, self._changed).reply(conversation)

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """What was not as expected so far."""
        with self._changed:
            return self._mismatches()

    def verify(self, timeout_s: float = 5.0) -> None:
        """Wait until all scripts are at their ends, and see to it that nothing happened that they do not say.

        A mismatch ends the wait at once. What comes after the last step is seen only if it came before this call.

        Args:
            timeout_s: Seconds to wait at most for steps that were not reached; 0 does not wait.

        Raises:
            ScriptMismatch: With everything that was not as expected, and all steps that were never reached.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._mismatches() or not self._unreached(), timeout_s)
            mismatches, unreached = self._mismatches(), self._unreached()
        if mismatches or unreached:
            raise ScriptMismatch(mismatches, unreached)

    def _mismatches(self) -> tuple[Mismatch, ...]:
        return (*(one for run in self._runs for one in run.mismatches), *self._uninvited)

    def _unreached(self) -> tuple[Mismatch, ...]:
        begun = [missing for run in self._runs for missing in run.unreached()]
        later = [
            missing
            for number, script in enumerate(self._scripts[len(self._runs) :], len(self._runs) + 1)
            for missing in ScriptRun(number, script).unreached()
        ]
        return (*begun, *later)


class _Follower:
    """The brain of one connection: its script, under the lock."""

    def __init__(self, run: ScriptRun, changed: threading.Condition) -> None:
        self._run = run
        self._changed = changed

    def observe(self, event: Mapping[str, Any]) -> None:
        """Take a client event."""
        with self._changed:
            self._run.observe(event)
            self._changed.notify_all()

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Answer."""
        with self._changed:
            self._changed.notify_all()
            return self._run.reply(conversation)


def _listed(problems: Sequence[Mismatch]) -> list[str]:
    lines = [str(problem) for problem in problems[:_MAX_LISTED]]
    return lines if len(problems) <= _MAX_LISTED else [*lines, f"... and {len(problems) - _MAX_LISTED} more"]

"""Supervisors that write down, in order, what starts, what ends and what they report. Own a thread: the supervisor's."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, cast

from .child_spec import ChildSpec
from .dynamic_supervisor import DynamicSupervisor
from .reasons import ExitReason
from .reports import OnReport, Report
from .stable_ref import StableRef
from .supervised import SupervisedLoop, mailbox_of, supervisable
from .supervisor import Supervisor
from .testing_probe import Arrivals

__all__ = ["Ended", "Record", "RecordingDynamicSupervisor", "RecordingSupervisor", "Started"]


@dataclass(frozen=True, slots=True)
class Started:
    """The child `id` has acked its start; `urn` is its incarnation's."""

    id: Hashable
    urn: str


@dataclass(frozen=True, slots=True)
class Ended:
    """An incarnation of the child `id` is down for `reason`, whoever ended it; also one whose start failed."""

    id: Hashable
    urn: str
    reason: ExitReason


class Record:
    """What a recording supervisor writes into, from several threads. It outlives the supervisor; several may share one."""

    def __init__(self) -> None:
        self._arrivals = Arrivals()

    @property
    def events(self) -> list[Started | Ended | Report]:
        """Everything so far, in order."""
        return self._arrivals.everything

    @property
    def started(self) -> list[Hashable]:
        """The ids of the children that have started, in order, an entry for each incarnation."""
        return [event.id for event in self.events if isinstance(event, Started)]

    @property
    def ended(self) -> list[Hashable]:
        """The ids of the children that have ended, in order, an entry for each incarnation."""
        return [event.id for event in self.events if isinstance(event, Ended)]

    @property
    def reports(self) -> list[Report]:
        """The supervisor's reports, in order."""
        return [event for event in self.events if isinstance(event, Report)]

    def expect(self, wanted: Any, within_s: float = 5.0) -> Any:
        """Take the first event that matches (by class, predicate or equality), waiting for it; see `Probe.expect`.

        Raises:
            AssertionError: none came in time; the message lists what did come.
        """
        return self._arrivals.take(wanted, within_s)

    def _add(self, event: Started | Ended | Report) -> None:
        self._arrivals.add(event)


class _Recorded(SupervisedLoop):
    """What is mixed into the class of a recorded child."""

    _trunkline_record: ClassVar[Record]  # not _record: a recorded RecordingSupervisor has one of its own
    _trunkline_original: ClassVar[type[Any]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Before `down` is set: else the supervisor might go on, and the order be another one.
        mailbox: Any = mailbox_of(self)
        answer_all: Callable[[list[Any], ExitReason], None] = mailbox._answer_all
        record, life, urn = self._trunkline_record, self._trunkline_life, self.actor_urn

        def note_end(left: list[Any], reason: ExitReason) -> None:
            record._add(Ended(life.child_id, urn, reason))
            answer_all(left, reason)

        mailbox._answer_all = note_end

    def _actor_loop_setup(self) -> None:
        acknowledge, record = self._trunkline_life.on_ack, self._trunkline_record
        started = Started(self._trunkline_life.child_id, self.actor_urn)

        def note_start() -> None:
            record._add(started)
            if acknowledge is not None:
                acknowledge()

        self._trunkline_life.on_ack = note_start
        super()._actor_loop_setup()


class _Recorder:
    """What both kinds of recording supervisor add: children of recorded classes, a note of each report."""

    def __init__(self, record: Record, on_report: OnReport | None) -> None:
        self._record = record
        self._on_report = on_report
        self._classes: dict[type[Any], type[Any]] = {}

    def note(self, report: Report) -> None:
        """Write the report down and pass it on."""
        report = replace(report, spec=_as_given(report.spec))
        self._record._add(report)
        if self._on_report is not None:
            self._on_report(report)

    def recorded(self, spec: Any) -> ChildSpec:
        """Return the spec of a child that writes into the record."""
        if not isinstance(spec, ChildSpec):
            return cast("ChildSpec", spec)  # the supervisor says what is wrong with it
        original: type[Any] = spec.start
        if original not in self._classes:
            body = {name: getattr(original, name) for name in ("__module__", "__qualname__", "__doc__")}
            body |= {"_trunkline_record": self._record, "_trunkline_original": original}
            self._classes[original] = type(original.__name__, (_Recorded, supervisable(original)), body)
        return replace(spec, start=self._classes[original])


class RecordingSupervisor(Supervisor):
    """A `Supervisor` that keeps a `Record`: `RecordingSupervisor.start([...], record=record)`.

    Its children run as subclasses of their classes, under the same names; their specs read as they were given.

    Args:
        children: as a Supervisor's.
        record: where to write.
        on_report: as a Supervisor's; called after the record is written.
        options: a Supervisor's other arguments.
    """

    def __init__(
        self,
        children: Iterable[ChildSpec] = (),
        *,
        record: Record,
        on_report: OnReport | None = None,
        **options: Any,
    ) -> None:
        self._recorder = recorder = _Recorder(record, on_report)
        super().__init__([recorder.recorded(spec) for spec in children], on_report=recorder.note, **options)

    def start_child(self, spec: ChildSpec) -> StableRef[Any] | None:
        """Add a child and start it; see `StartChild`."""
        return super().start_child(self._recorder.recorded(spec))

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec by id, as it was given; see `GetChildSpec`."""
        return _as_given(super().get_child_spec(child))


class RecordingDynamicSupervisor(DynamicSupervisor):
    """A `DynamicSupervisor` that keeps a `Record`, as a `RecordingSupervisor` does.

    Ids need not be unique here: what tells children of one id apart in the record is their incarnations' urns.

    Args:
        record: where to write.
        on_report: as a DynamicSupervisor's; called after the record is written.
        options: a DynamicSupervisor's other arguments.
    """

    def __init__(self, *, record: Record, on_report: OnReport | None = None, **options: Any) -> None:
        self._recorder = recorder = _Recorder(record, on_report)
        super().__init__(on_report=recorder.note, **options)

    def start_child(self, spec: ChildSpec) -> None:
        """Start a child; see `StartChild`."""
        super().start_child(self._recorder.recorded(spec))

    def get_child_spec(self, child: Any) -> ChildSpec:
        """Look up a child's spec by reference, as it was given; see `GetChildSpec`."""
        return _as_given(super().get_child_spec(child))


def _as_given(spec: ChildSpec) -> ChildSpec:
    return replace(spec, start=spec.start._trunkline_original) if issubclass(spec.start, _Recorded) else spec

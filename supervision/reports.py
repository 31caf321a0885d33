"""One shape for everything a supervisor has to say, to the log and to a callback. Owns no thread."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal, TypeAlias

from .child_spec import ChildSpec
from .errors import cause_of
from .guarded import guarded
from .reasons import ExitReason

__all__ = ["OnReport", "Report", "publish"]

_logger = logging.getLogger("trunkline.supervision")

Context: TypeAlias = Literal["start_error", "child_terminated", "shutdown_error", "gave_up"]
_LEVELS: dict[Context, int] = {
    "start_error": logging.WARNING,
    "child_terminated": logging.WARNING,
    "shutdown_error": logging.WARNING,
    "gave_up": logging.ERROR,
}


@dataclass(frozen=True, slots=True)
class Report:
    """What happened under a supervisor.

    Attributes:
        supervisor: its name.
        context: a child's start failed, a child ended, it ended otherwise than told to, it was restarted too often.
        reason: why.
        offender: the child's urn ("" if it never had one).
        spec: the child's.
        traceback: the formatted traceback of the exception behind `reason`, as it was then; "" if there is none. Not
            part of what makes two reports equal.

    Source: the supervisor reports of OTP's logger (supervisor, errorContext, reason, offender).
    """

    supervisor: str
    context: Context
    reason: ExitReason
    offender: str
    spec: ChildSpec
    traceback: str = field(default="", compare=False, repr=False)


OnReport: TypeAlias = Callable[[Report], object]


def publish(report: Report, on_report: OnReport | None) -> None:
    """Log the report and give it to `on_report`, whose exceptions are logged: it must not harm the tree."""
    cause = cause_of(report.reason)
    _logger.log(
        _LEVELS[report.context],
        "%s: %s of child %r: %r",
        report.supervisor,
        report.context,
        report.spec.id,
        report.reason,
        exc_info=cause if report.context != "gave_up" else None,
        extra={"child_id": report.spec.id, "supervisor": report.supervisor, "context": report.context},
    )
    if on_report is not None:
        report = report if cause is None else replace(report, traceback=_formatted(cause))
        guarded(on_report, report, "on_report of %s", report.supervisor)


def _formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))

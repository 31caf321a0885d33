"""Calling what users registered, in a thread that is not theirs. Owns no thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["guarded"]

A = TypeVar("A")
_logger = logging.getLogger("trunkline.supervision")


def guarded(fn: Callable[[A], object], argument: A, what: str, *about: object) -> None:
    """Call `fn(argument)`; what it raises is logged as "`what` raised", and harms nobody else.

    Any BaseException: a SystemExit or CancelledError in a callback must end neither the actor that happens to run it nor
    its killer. But Ctrl-C in the main thread is not the callback's, and goes on.
    """
    try:
        fn(argument)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
            raise
        _logger.exception(what + " raised", *about)

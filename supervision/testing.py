"""For tests of supervised systems: break an actor on purpose. Owns no thread.

Source: otp.md E.
"""

from __future__ import annotations

from typing import Any

import pykka
from pykka.messages import ProxyCall

__all__ = ["crash"]


def crash(ref: pykka.ActorRef[Any], error: BaseException) -> None:
    """Have the actor raise `error` in its next handler, as if it had a bug. Returns at once.

    Args:
        ref: a supervised actor, or a StableRef: then the incarnation of the moment crashes.
        error: what it raises; for its supervisor it is the reason.

    Raises:
        ActorDown: there is no such actor any more.
    """
    ref.tell(ProxyCall(attr_path=("_crash",), args=(error,), kwargs={}))

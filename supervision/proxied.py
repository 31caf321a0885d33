"""Whether there is what a proxy asks a supervisor for. Owns nothing."""

from __future__ import annotations

import inspect
from typing import Any

from pykka._introspection import get_attr_directly
from pykka.messages import ProxyCall, ProxyGetAttr

from .errors import InvalidRequest

__all__ = ["wrong_request"]


def wrong_request(actor: Any, message: object) -> InvalidRequest | None:
    """Return what is wrong with a proxy's message: there is no such attribute, or it does not take these arguments."""
    if not isinstance(message, ProxyCall | ProxyGetAttr):
        return None
    name = ".".join(message.attr_path)
    try:
        found = get_attr_directly(actor, message.attr_path)
    except AttributeError:
        return InvalidRequest(name, f"{type(actor).__name__} has no such attribute")
    if isinstance(message, ProxyGetAttr):
        return None
    if not callable(found):
        return InvalidRequest(name, "it cannot be called")
    try:
        inspect.signature(found).bind(*message.args, **message.kwargs)
    except TypeError as error:
        return InvalidRequest(name, str(error))
    except ValueError:
        pass  # it has no signature: calling it will tell
    return None

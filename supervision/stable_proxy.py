"""Proxies on a StableRef: pykka's, but they outlive incarnations and keep no actor alive. Owns no thread."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar

import pykka
from pykka import messages
from pykka._introspection import AttrInfo, introspect_attrs

if TYPE_CHECKING:
    from .futures import Future
    from .stable_ref import StableRef

__all__ = ["StableProxy"]

A = TypeVar("A", bound=pykka.Actor)


class StableProxy(pykka.ActorProxy[A]):
    """A `pykka.ActorProxy` on a StableRef.

    It can be made while the child is restarting, and looks at the actor only when an attribute is used that it does
    not know. Subclass it for typed methods: `def greet(self, name: str) -> Future[str]: return
    self._ask(Greet(name))`.
    """

    actor_ref: StableRef[A]

    def __init__(self, *, actor_ref: StableRef[A], attr_path: tuple[str, ...] | None = None) -> None:
        self.actor_ref = actor_ref  # pyright: ignore[reportIncompatibleVariableOverride]  # never reassigned
        self._attr_path = attr_path or ()
        self._known_attrs = {}
        self._actor_proxies = {}
        self._callable_proxies = {}

    def _ask(self, message: Any) -> Future[Any]:
        """Send `message` and return the future of its answer: for the typed methods of subclasses."""
        return self.actor_ref.ask(message, block=False)

    def _tell(self, message: Any) -> None:
        """Send `message`; raises ActorDown if the child is gone: for the typed methods of subclasses."""
        self.actor_ref.tell(message)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(
                f"{type(self).__name__} has no attribute {name!r}: a proxy shows public ones only"
            )
        path = (*self._attr_path, name)
        info = self._known_attrs.get(path) or self._look_up(path)
        if info.callable:
            if path not in self._callable_proxies:
                self._callable_proxies[path] = pykka.CallableProxy(actor_ref=self.actor_ref, attr_path=path)
            return self._callable_proxies[path]
        if info.traversable:
            if path not in self._actor_proxies:
                self._actor_proxies[path] = StableProxy(actor_ref=self.actor_ref, attr_path=path)
            return self._actor_proxies[path]
        return self.actor_ref.ask(messages.ProxyGetAttr(attr_path=path), block=False)

    def _look_up(self, path: tuple[str, ...]) -> AttrInfo:
        actor = self.actor_ref._actor_weakref()
        if actor is None:
            return self._look_up_in_class(path)
        self._known_attrs = introspect_attrs(root=actor, proxy=self)
        info = self._known_attrs.get(path)
        if info is None:
            raise AttributeError(f"{self} has no attribute {'.'.join(path)!r}")
        return info

    def _look_up_in_class(self, path: tuple[str, ...]) -> AttrInfo:
        # Between two incarnations only the class is there. What it lacks may be an instance's attribute: the next one will tell.
        found: Any = self.actor_ref.actor_class
        for name in path:
            found = inspect.getattr_static(found, name, None)
        found = getattr(found, "__func__", found)  # static and class methods
        traversable = (
            getattr(found, "_pykka_traversable", False) is True
            or getattr(found, "pykka_traversable", False) is True
        )
        return AttrInfo(callable=callable(found), traversable=traversable)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StableProxy):
            return False
        return self.actor_ref == other.actor_ref and self._attr_path == other._attr_path

    def __hash__(self) -> int:
        return hash((self.actor_ref, self._attr_path))

    def __dir__(self) -> list[str]:
        public = [name for name in dir(self.actor_ref.actor_class) if not name.startswith("_")]
        return sorted({*object.__dir__(self), *public})

"""What a Simulator may be given: a wrong argument fails in the caller and names itself. Pure."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Collection


def check_host(host: str, allow_remote: bool, api_key: str | None) -> None:
    """Raise unless the simulator may listen on this host.

    Raises:
        ValueError: It is not loopback, and either is not allowed or has no key; or the key is one that nobody can have.
    """
    if api_key == "":
        raise ValueError("api_key is empty: give a key, or None to accept any")
    if not is_loopback(host) and not (allow_remote and api_key):
        raise ValueError(
            f"host {host!r} is not loopback: serving others needs allow_remote=True and an api_key"
        )


def check_port(port: object) -> None:
    """Raise unless it is a port, or 0.

    Raises:
        ValueError: It is not.
    """
    if not isinstance(port, int) or isinstance(port, bool) or not 0 <= port <= 65535:
        raise ValueError(f"port={port!r}: it has to be a number from 0 to 65535")


def check_models(models: object) -> None:
    """Raise unless it is a collection of names, or None.

    Raises:
        ValueError: It is a single name, or none at all.
    """
    if models is not None and (isinstance(models, str) or not isinstance(models, Collection)):
        raise ValueError(f"models={models!r}: it has to be a list of names, or None to serve any")


def check_brain(brain: object) -> None:
    """Raise unless it is a `Brain`.

    Raises:
        TypeError: It has no method `reply`, or is a class of brains.
    """
    if isinstance(brain, type):
        raise TypeError(f"the brain is the class {brain.__name__}: make one of it, {brain.__name__}(...)")
    if not callable(getattr(brain, "reply", None)):
        raise TypeError(f"the brain {brain!r} has no method 'reply'")


def check_at_least_0(**numbers: float | None) -> None:
    """Raise unless each number is finite and 0 or more; None is none.

    Raises:
        ValueError: One is not.
    """
    for name, number in numbers.items():
        if number is not None and not (_is_number(number) and number >= 0):
            raise ValueError(f"{name}={number!r}: it has to be a number of 0 or more")


def check_more_than_0(**numbers: float | None) -> None:
    """Raise unless each number is finite and more than 0; None is none.

    Raises:
        ValueError: One is not.
    """
    for name, number in numbers.items():
        if number is not None and not (_is_number(number) and number > 0):
            raise ValueError(f"{name}={number!r}: it has to be a number of more than 0")


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach a server that listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

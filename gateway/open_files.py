"""The limit of open files: a session takes two, and many systems allow 1,024 unless asked. Owns nothing; changes the process.

A limit above 1,024 breaks `select.select` for descriptors beyond that; nothing here uses it. Child processes inherit the limit.
"""

import importlib
from typing import Any, NamedTuple

__all__ = ["OpenFileLimit", "raise_open_file_limit"]


class OpenFileLimit(NamedTuple):
    """How many descriptors this process may have open now, and how many it could have. None: there is no limit."""

    soft: int | None
    hard: int | None


def raise_open_file_limit() -> OpenFileLimit | None:
    """Raise the soft limit of open files to the hard one, as far as the system lets us, and return what holds then.

    Idempotent; it never lowers a limit and never raises. None where the system has no such limit.
    """
    try:
        resource: Any = importlib.import_module("resource")
    except ImportError:
        return None  # not POSIX
    kind = resource.RLIMIT_NOFILE
    soft, hard = resource.getrlimit(kind)
    if soft != hard:
        for wanted in (hard, *_BELOW_UNLIMITED):
            if wanted != resource.RLIM_INFINITY and wanted <= soft:
                break
            try:
                resource.setrlimit(kind, (wanted, hard))
                break
            except (ValueError, OSError):
                continue  # the kernel allows less than the hard limit says: macOS, where that is "unlimited"
        soft, hard = resource.getrlimit(kind)
    return OpenFileLimit(*(None if limit == resource.RLIM_INFINITY else limit for limit in (soft, hard)))


_BELOW_UNLIMITED = (1 << 20, 1 << 16, 10_240)

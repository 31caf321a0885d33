"""From what a tool returns to the text of its output on the wire. Pure.

A ``str`` goes as it is; everything else as JSON, ``None`` as ``null``. msgspec's types are known (dataclasses, Structs, enums,
dates, UUIDs, ``bytes`` as base64 ...), numpy's scalars and arrays are numbers and lists of them. NaN is ``null``.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from .tool_errors import ToolResultError

#: Above any model's context, and far below any provider's frame limit: what is longer could only fail later and worse.
MAX_OUTPUT_BYTES = 1 << 20

_ADVICE = "The tool returned a result that cannot be written as JSON."


def serialise_result(value: Any) -> str:
    """Return a tool's result as the text of a ``function_call_output``.

    Raises:
        ToolResultError: JSON cannot hold it, or it is longer than ``MAX_OUTPUT_BYTES``. The tool's fault.
    """
    try:
        # str.__str__: a member of a str enum is its value, not its name
        data = (
            str.__str__(value).encode()
            if isinstance(value, str)
            else msgspec.json.encode(value, enc_hook=_numpy_to_builtins)
        )
    except Exception as error:  # encoding runs code of the user's types
        raise ToolResultError(_ADVICE, f"{type(value).__name__}: {error}") from error
    if len(data) > MAX_OUTPUT_BYTES:
        raise ToolResultError(
            f"The tool returned {len(data)} bytes, more than the {MAX_OUTPUT_BYTES} that fit; ask for less.",
            f"{type(value).__name__} of {len(data)} bytes",
        )
    return data.decode()


def _numpy_to_builtins(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        plain = value.item()
        # longdouble.item() is a longdouble: encoding it again would never end.
        if not isinstance(plain, np.generic):
            return plain
    raise TypeError(f"objects of type {type(value).__name__} have no JSON form")

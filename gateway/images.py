"""Images as the wire takes them: a data URI of a PNG or a JPEG. Pure.

Source: protocol reference A.8 (images); RealtimeConversationItemUserMessage.
"""

import base64
import re
from typing import Final, TypeAlias

from .errors import ConfigError

Image: TypeAlias = bytes | bytearray | memoryview | str
"""The bytes of a PNG or JPEG file, or a data URI of one."""

_SIGNATURES: Final = ((b"\x89PNG\r\n\x1a\n", "image/png"), (b"\xff\xd8\xff", "image/jpeg"))
_DATA_URI: Final = re.compile(r"data:image/(?:png|jpeg);base64,[A-Za-z0-9+/]+={0,2}")
_ALLOWED: Final = (
    "the bytes of a PNG or JPEG file, or a data URI: data:image/png;base64,... or data:image/jpeg;base64,..."
)


def image_data_uri(image: Image) -> str:
    """Return an image as a data URI. Its kind is read off its first bytes, whatever the file was called.

    Raises:
        ConfigError: it is neither PNG nor JPEG. The fault of the caller.
    """
    if isinstance(image, str):
        if not _DATA_URI.fullmatch(image):
            raise ConfigError("image", f"{image[:40]}...", _ALLOWED)
        return image
    if not isinstance(image, bytes | bytearray | memoryview):  # pyright: ignore[reportUnnecessaryIsInstance] - callers may be untyped
        raise ConfigError("image", type(image).__name__, _ALLOWED)
    data = bytes(image)
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    raise ConfigError("image", f"{len(data)} bytes that begin with {data[:8]!r}", _ALLOWED)

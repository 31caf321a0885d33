"""What was sent with the upgrade and may be secret, kept out of what a server's words are shown in. Pure."""

from collections.abc import Mapping
from urllib.parse import unquote_plus, urlsplit

__all__ = ["SentSecrets"]

_HIDDEN = "[hidden]"
_SHORTEST = 8
"""A shorter word is no key, and to hide it would make texts unreadable."""
_SHOWN_HEADERS = frozenset({"user-agent"})
_SHOWN_FIELDS = frozenset({"model", "call_id"})
"""Names in a query whose values errors are about."""


class SentSecrets:
    """Header values, their longer words, and the values of a query: a server that echoes them is not to be quoted with them.

    Args:
        url: With its query.
        headers: As they were sent.
    """

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        pairs = (pair.partition("=") for pair in urlsplit(url).query.split("&"))
        fields = [value or name for name, _, value in pairs if name not in _SHOWN_FIELDS]
        values = [value for name, value in headers.items() if name.lower() not in _SHOWN_HEADERS]
        known = {
            *values,
            *fields,
            *map(unquote_plus, fields),
            *(word for value in values for word in value.split()),
        }
        self._words = sorted((word for word in known if len(word) >= _SHORTEST), key=len, reverse=True)

    def hide(self, text: str) -> str:
        """Return the text without them; an excerpt may end in the beginning of one."""
        for word in self._words:
            text = text.replace(word, _HIDDEN)
        for word in self._words:
            for n in range(len(word) - 1, _SHORTEST - 1, -1):
                if text.endswith(word[:n]):
                    return text[:-n] + _HIDDEN
        return text

"""Keys and tokens: asked for anew at each connect, checked, and never shown. Owns nothing; reads the environment."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from .errors import ConfigError, ConnectError, GatewayError, MissingApiKey

__all__ = ["Credential", "Secret"]

Secret: TypeAlias = str | Callable[[], str]
"""A secret, or what returns it: called at each connect, in the connecting thread and before its deadline begins."""


@dataclass(frozen=True, slots=True, repr=False)
class Credential:
    """One secret and where it comes from. Its repr shows nothing; its pickle holds what was given as text.

    Attributes:
        setting: the gateway's name for it, which errors use.
        given: what the application gave; None for the environment.
        variable: the environment variable, read at each connect.

    Raises:
        ConfigError: a secret given as text cannot stand in a header (the caller's fault).
        MissingApiKey: it is "" (the caller's fault).
    """

    setting: str
    given: Secret | None
    variable: str

    def __post_init__(self) -> None:
        if isinstance(self.given, str):
            self._checked(self.given)  # at once, in the caller, and not at the first connect

    def read(self) -> str:
        """Return the secret of this attempt.

        Raises:
            MissingApiKey: there is none.
            ConfigError: it cannot stand in a header.
            ConnectError: the callable raised.
        """
        secret = self.given if self.given is not None else os.environ.get(self.variable, "")
        return self._checked(self._ask(secret) if callable(secret) else secret)

    def _ask(self, source: Callable[[], str]) -> str:
        try:
            return source()
        except GatewayError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a secret store raises, this attempt to connect has failed
            failure = type(error).__name__
        # Its text may quote what it read: name the type alone, and raise out here, where there is nothing to chain.
        raise ConnectError(
            f"the {self.setting} callable raised {failure}", code=f"{self.setting}_unavailable"
        )

    def _checked(self, secret: object) -> str:
        """Return a secret that can stand in a header; a newline at its end is a mistake as common as it is hard to see."""
        if not secret:
            raise MissingApiKey(self.variable)
        if not isinstance(secret, str) or not secret.isascii() or not secret.isprintable() or " " in secret:
            allowed = "one word of printable ASCII: no space, no newline at its end"
            raise ConfigError(self.setting, "", allowed)
        return secret

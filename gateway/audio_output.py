"""What the provider says, from the negotiated format to samples. Pure; remembers the odd byte of each item.

Source: the session contract, section 2 and statement 14; server event ``response.output_audio.delta``.
"""

from typing import Final

import numpy as np

from . import checks, g711
from .audio import SAMPLE_RATES, Pcm16

_PCM = np.dtype("<i2")


class AudioOutput:
    """Decodes audio deltas. PCM16 is a view, without a copy; G.711 is decoded to 8 kHz.

    Attributes:
        rate_hz: of what comes out.

    Args:
        audio_format: ``pcm16``, ``g711_ulaw`` or ``g711_alaw``, as the provider confirmed it.

    Raises:
        ConfigError: there is no such format.
    """

    def __init__(self, audio_format: str = "pcm16") -> None:
        self._format = checks.one_of("output_audio_format", audio_format, SAMPLE_RATES)
        self._odd: dict[str, bytes] = {}
        self.rate_hz: Final = SAMPLE_RATES[self._format]
        self._is_pcm = self._format == "pcm16"

    @property
    def audio_format(self) -> str:
        """The format that goes in."""
        return self._format

    def decode(self, item_id: str, delta: bytes) -> Pcm16:
        """Return the samples of a delta; half a sample at its end waits for the next delta of the item.

        Returns:
            A read-only ``(n_samples,)`` int16 array, mono, at `rate_hz`.
        """
        if not self._is_pcm:
            return g711.decode(delta, self._format)
        if self._odd:
            delta = self._odd.pop(item_id, b"") + delta
        if len(delta) & 1:
            self._odd[item_id] = delta[-1:]
            delta = delta[:-1]
        return np.frombuffer(delta, _PCM)

    def end(self, item_id: str) -> None:
        """Forget what is left of an item that is complete, or will not be."""
        self._odd.pop(item_id, None)

    def clear(self) -> None:
        """Forget everything: the line is another one."""
        self._odd.clear()

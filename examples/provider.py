"""Where the examples get their provider: OpenAI when OPENAI_API_KEY is set, else the simulator on this machine."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from trunkline import OpenAIGateway
from trunkline.simulator import Simulator


@contextmanager
def gateway(delta_interval_s: float = 0.02) -> Iterator[OpenAIGateway]:
    """Yield a gateway. The simulator streams a word every ``delta_interval_s`` seconds."""
    if os.environ.get("OPENAI_API_KEY"):
        yield OpenAIGateway()
        return
    with Simulator(delta_interval_s=delta_interval_s) as simulator:
        yield OpenAIGateway("no-key-needed", base_url=simulator.url)

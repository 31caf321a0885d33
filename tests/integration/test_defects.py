"""Defects of earlier implementations that no contract test shows the absence of: see docs/explanation/defects.md."""

from __future__ import annotations

import ssl
import threading
from typing import Any

import pytest

from trunkline import Config, OpenAIGateway, ToolContext, tool
from trunkline.gateway.simulator import CallTool, FunctionBrain, LocalCertificate, Say, Simulator
from trunkline.testing import FaultPlan, SessionExpired


def test_the_end_of_a_turn_says_what_it_cost(simulate: Any) -> None:
    stage, _ = simulate([Say("four words are here")])
    stage.say("go")
    completed = stage.events.until("assistant_turn_completed")
    done = stage.wire.wait_received("response.done")[0]
    assert completed.usage is not None
    assert completed.usage["output_tokens"] == done["response"]["usage"]["output_tokens"] > 0
    assert completed.usage["total_tokens"] == done["response"]["usage"]["total_tokens"]


@pytest.mark.parametrize("policy", ["drop", "submit_completed_only", "submit"])
def test_closing_neither_submits_outputs_nor_asks_for_a_reply(simulate: Any, policy: str) -> None:
    entered, told = threading.Event(), threading.Event()

    @tool
    def wait(ctx: ToolContext) -> str:
        entered.set()
        if ctx.wait_cancelled(10.0):
            told.set()
        return "late"

    stage, _ = simulate([CallTool("wait", {})], tools=[wait], on_interrupt=policy)
    stage.say("go")
    assert entered.wait(10)
    stage.session.close().get(timeout=10)
    stage.wire.wait_closed()
    assert told.wait(10)
    assert stage.outputs() == []
    stage.wire.sent("response.create").once()


def test_over_tls_no_other_protocol_is_agreed_on_than_the_one_that_is_spoken(
    open_session: Any, servers: Any
) -> None:
    """With h2 on offer a client that lets TLS choose ends up in HTTP/2, where an upgrade is another thing altogether."""
    certificate = LocalCertificate.make()
    certificate.ssl_context.set_alpn_protocols(["h2", "http/1.1"])
    simulator = Simulator(FunctionBrain(lambda _: [Say("yes")]), ssl_context=certificate.ssl_context).start()
    servers.append(simulator)
    trusting = ssl.create_default_context(cadata=certificate.ca_pem)
    gateway = OpenAIGateway("a-key", base_url=simulator.url, ssl_context=trusting)
    stage = open_session(simulator, gateway=gateway)
    stage.say("Is it spoken?")
    assert stage.events.until("assistant_text").text == "yes"


@pytest.mark.parametrize("model", ["whisper-1", "gpt-4o-transcribe", "one-that-is-new"])
def test_any_model_may_transcribe(simulate: Any, model: str) -> None:
    stage, _ = simulate([], input_audio_transcription=model)
    update = stage.wire.wait_sent("session.update")[0]
    assert update["session"]["audio"]["input"]["transcription"] == {"model": model}
    assert Config(input_audio_transcription=model).input_audio_transcription == model


def test_a_session_that_the_provider_ends_for_its_age_goes_on_in_another(
    open_session: Any, servers: Any
) -> None:
    expiry = FaultPlan(SessionExpired().on("response.created"))
    simulator = Simulator(FunctionBrain(lambda _: [Say("still here")]), faults=expiry).start()
    servers.append(simulator)
    stage = open_session(simulator)
    stage.say("Are you there?")
    assert stage.events.until("session_updated", resumed=True)
    assert stage.events.until("assistant_text").text == "still here"
    stage.quiet()
    assert "session_closed" not in stage.events.kinds()
    assert len(stage.events.of("assistant_text")) == 1
    again = stage.wire.sent("conversation.item.create", connection=2)
    assert [item["item"]["content"][0]["text"] for item in again] == ["Are you there?"]

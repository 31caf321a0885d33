"""What a line may take: figures that make sense, and where they count."""

import pickle

import pytest

from trunkline.gateway import AzureOpenAIGateway, ConfigError, LineClosed, LineLimits, OpenAIGateway
from trunkline.gateway.simulator import Simulator


def test_the_defaults_are_those_of_the_contract():
    assert LineLimits() == LineLimits(
        max_frame_bytes=16 << 20,
        max_message_bytes=32 << 20,
        send_buffer_bytes=1 << 20,
        ping_interval_s=20.0,
        pong_timeout_s=20.0,
        stall_timeout_s=10.0,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_frame_bytes", 0),
        ("max_message_bytes", 1.5),
        ("send_buffer_bytes", True),
        ("ping_interval_s", 0),
        ("pong_timeout_s", float("nan")),
        ("stall_timeout_s", "10"),
        ("stall_timeout_s", float("inf")),
        ("ping_intervall_s", 3.0),
    ],
)
def test_a_limit_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ConfigError) as refused:
        LineLimits(**{name: value})
    assert refused.value.field == f"limits.{name}"


@pytest.mark.parametrize("gateway_class", [OpenAIGateway, AzureOpenAIGateway])
def test_a_gateway_opens_lines_with_its_limits_also_as_a_copy(gateway_class, pump_until):
    with Simulator(models=None) as simulator:
        url = (
            simulator.url.removesuffix("/v1/realtime")
            if gateway_class is AzureOpenAIGateway
            else simulator.url
        )
        given = gateway_class(api_key="k", limits=LineLimits(max_frame_bytes=10), **_at(gateway_class, url))
        for gateway in (given, pickle.loads(pickle.dumps(given))):
            line = gateway.connect("m", timeout_s=10)
            _, closed = pump_until(line)
            line.close(timeout_s=0.0)
            assert isinstance(closed, LineClosed)
            assert closed.close_code == 1009


@pytest.mark.parametrize("gateway_class", [OpenAIGateway, AzureOpenAIGateway])
def test_what_are_no_limits_is_refused(gateway_class):
    with pytest.raises(ConfigError) as refused:
        gateway_class(api_key="k", limits={"ping_interval_s": 1.0}, **_at(gateway_class, "ws://127.0.0.1:1/"))
    assert refused.value.field == "limits"


def _at(gateway_class, url):
    return {"endpoint" if gateway_class is AzureOpenAIGateway else "base_url": url}

"""What we sent with the upgrade, taken out of what a server says to it."""

import pytest

from trunkline.gateway.sent_secrets import SentSecrets

SENT = SentSecrets(
    "wss://h/v1?model=gpt-realtime-2&code=c0de%2Bc0de%2Bc0de&naked-token-1&n=1",
    {
        "Authorization": "Bearer abcdefgh12345678",
        "X-Two": "first-word second-word",
        "User-Agent": "trunkline/0.1.0",
    },
)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("key abcdefgh12345678!", "key [hidden]!"),
        ("{'Authorization': 'Bearer abcdefgh12345678'}", "{'Authorization': '[hidden]'}"),
        ("second-word and first-word", "[hidden] and [hidden]"),
        ("GET /v1?code=c0de%2Bc0de%2Bc0de", "GET /v1?code=[hidden]"),
        ("code c0de+c0de+c0de", "code [hidden]"),
        ("naked-token-1", "[hidden]"),
        ("abcdefgh12345678abcdefgh12345678", "[hidden][hidden]"),
    ],
)
def test_a_value_that_was_sent_is_hidden_wherever_it_stands(said, shown):
    assert SENT.hide(said) == shown


@pytest.mark.parametrize("n", range(8, 16))
def test_the_beginning_of_a_value_at_the_end_of_an_excerpt_is_hidden(n):
    assert SENT.hide("key " + "abcdefgh12345678"[:n]) == "key [hidden]"


@pytest.mark.parametrize(
    "said",
    ["the model gpt-realtime-2 does not exist", "trunkline/0.1.0 is too old", "1 Bearer", "key abcdefg", ""],
)
def test_the_model_our_version_and_short_words_stay(said):
    assert SENT.hide(said) == said


def test_without_a_query_and_headers_nothing_is_hidden():
    assert SentSecrets("ws://h", {}).hide("anything at all") == "anything at all"

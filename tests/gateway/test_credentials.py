"""One secret: where it comes from, when it is asked for, and that it is never shown. (How it is sent: the gateways' own tests.)"""

import pickle
from functools import partial

import pytest

from trunkline.gateway.credentials import Credential
from trunkline.gateway.errors import ConfigError, ConnectError, ConnectTimeout, MissingApiKey

KEY = "a-key-that-nobody-may-see"


def test_what_is_given_wins_over_the_environment(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "from-the-environment")
    assert Credential("api_key", KEY, "SOME_KEY").read() == KEY
    assert Credential("api_key", lambda: KEY, "SOME_KEY").read() == KEY
    assert Credential("api_key", None, "SOME_KEY").read() == "from-the-environment"


def test_nothing_is_asked_before_it_is_needed_and_then_each_time():
    asked = []
    credential = Credential("token", lambda: asked.append(1) or f"token-{len(asked)}", "SOME_KEY")
    assert not asked
    assert [credential.read(), credential.read()] == ["token-1", "token-2"]


def test_a_missing_secret_names_the_variable(monkeypatch):
    monkeypatch.delenv("SOME_KEY", raising=False)
    with pytest.raises(MissingApiKey, match="SOME_KEY"):
        Credential("api_key", None, "SOME_KEY").read()
    with pytest.raises(MissingApiKey):
        Credential("api_key", "", "SOME_KEY")


@pytest.mark.parametrize("secret", ["a b", "a\n", "é", 7, b"bytes"])
def test_what_cannot_stand_in_a_header_is_refused_by_the_settings_name(secret):
    with pytest.raises(ConfigError) as refused:
        Credential("token", lambda: secret, "SOME_KEY").read()
    assert refused.value.field == "token"


def test_an_error_of_ours_passes_and_any_other_is_a_failed_attempt():
    def late():
        raise ConnectTimeout("the secret store is slow")

    def broken():
        raise RuntimeError(KEY)

    with pytest.raises(ConnectTimeout):
        Credential("api_key", late, "SOME_KEY").read()
    with pytest.raises(ConnectError) as failed:
        Credential("api_key", broken, "SOME_KEY").read()
    assert (failed.value.code, failed.value.recoverable) == ("api_key_unavailable", True)
    assert KEY not in f"{failed.value}{vars(failed.value)}{failed.value.__cause__}{failed.value.__context__}"


@pytest.mark.parametrize("given", [KEY, partial(str, KEY), None])
def test_it_pickles_and_its_repr_shows_nothing(given, monkeypatch):
    monkeypatch.setenv("SOME_KEY", KEY)
    credential = Credential("api_key", given, "SOME_KEY")
    assert KEY not in repr(credential)
    assert pickle.loads(pickle.dumps(credential)).read() == KEY
    assert (KEY.encode() in pickle.dumps(credential)) == (given is not None)

"""Proxies on a StableRef."""

import pykka
import pytest

from trunkline.supervision import DynamicSupervisor, Future, StableProxy, StableRef

PATIENCE_S = 30.0


class Radio(pykka.ThreadingActor):
    def __init__(self):
        super().__init__()
        self.volume = 5
        self.playback = Playback()

    def greet(self, name):
        return f"hello {name}"

    def on_receive(self, message):
        if isinstance(message, BaseException):
            raise message
        return message

    @property
    def loud(self):
        return self.volume > 7


@pykka.traversable
class Playback:
    def play(self):
        return "playing"


class RadioProxy(StableProxy[Radio]):
    """Typed methods over messages."""

    def shout(self, text: str) -> Future[str]:
        return self._ask(text.upper())


@pytest.fixture
def child(run_tree, start_child):
    return start_child(run_tree(DynamicSupervisor), "radio", start=Radio)


def test_methods_attributes_properties_and_assignment_work_as_with_pykkas(child):
    proxy = child.proxy()
    assert isinstance(proxy, pykka.ActorProxy)
    assert proxy.actor_ref is child
    assert proxy.greet("you").get(timeout=PATIENCE_S) == "hello you"
    assert proxy.volume.get(timeout=PATIENCE_S) == 5
    proxy.volume = 9
    assert proxy.loud.get(timeout=PATIENCE_S) is True
    assert proxy.playback.play().get(timeout=PATIENCE_S) == "playing"
    proxy.greet.defer("nobody")


def test_the_same_proxy_goes_on_working_after_a_restart(child, eventually):
    proxy = child.proxy()
    proxy.volume = 9
    child.tell(ValueError("x"))
    eventually(lambda: child.restarts == 1)
    assert proxy.volume.get(timeout=PATIENCE_S) == 5
    assert proxy.greet("again").get(timeout=PATIENCE_S) == "hello again"


def test_a_proxy_can_be_made_and_used_between_two_incarnations(start_worker, worker_class):
    ref = StableRef(worker_class, "child")
    proxy = ref.proxy()
    future = proxy.greet("later")
    unknown = proxy.actor_urn
    ref._bind(worker := start_worker())
    assert future.get(timeout=PATIENCE_S) == "hello later"
    assert unknown.get(timeout=PATIENCE_S) == worker.actor_urn


def test_subclasses_add_typed_methods(child):
    proxy = RadioProxy(actor_ref=child)
    assert proxy.shout("hey").get(timeout=PATIENCE_S) == "HEY"
    assert proxy.greet("you").get(timeout=PATIENCE_S) == "hello you"


def test_an_unknown_or_private_attribute_is_an_attribute_error(child):
    with pytest.raises(AttributeError):
        child.proxy().nothing  # noqa: B018
    with pytest.raises(AttributeError):
        child.proxy()._life  # noqa: B018


def test_proxies_of_one_child_are_equal(child):
    assert child.proxy() == child.proxy()
    assert hash(child.proxy()) == hash(child.proxy())
    assert child.proxy() != child.proxy().playback
    assert child.proxy() != 1
    assert "greet" in dir(child.proxy())


def test_a_proxy_keeps_no_dead_actor_alive(child):
    proxy = child.proxy()
    proxy.greet("you").get(timeout=PATIENCE_S)
    assert not any(isinstance(value, pykka.Actor) for value in vars(proxy).values())

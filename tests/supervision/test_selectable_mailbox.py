"""One wait for messages, descriptors and timers."""

import gc
import itertools
import os
import queue
import socket
import threading

import pytest
from pykka._envelope import Envelope

from trunkline.supervision import KILLED, NORMAL, ActorDown, GenServer, Readable, SelectableMailbox, Writable
from trunkline.supervision.wakeup import SocketPair

PATIENCE_S = 30.0


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    yield ours, theirs
    ours.close()
    theirs.close()


@pytest.fixture
def second_pair():
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_a_watched_descriptor_is_reported_when_it_can_be_read(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    theirs.send(b"x")
    assert mailbox.get().message == Readable(ours.fileno())


def test_messages_come_before_descriptors(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    theirs.send(b"x")
    mailbox.put(Envelope("message"))
    assert [mailbox.get().message for _ in range(2)] == ["message", Readable(ours.fileno())]


def test_under_a_flood_of_messages_a_descriptor_is_reported_at_least_once_in_sixteen(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    theirs.send(b"x")
    for number in range(320):
        mailbox.put(Envelope(number))
    got = [mailbox.get().message for _ in range(320)]
    reports = [index for index, message in enumerate(got) if message == Readable(ours.fileno())]
    assert len(reports) >= 18
    assert max(b - a for a, b in itertools.pairwise(reports)) <= 17


def test_two_descriptors_that_are_ready_are_both_reported_from_one_poll(pair, second_pair):
    mailbox = SelectableMailbox()
    for ours, theirs in (pair, second_pair):
        mailbox.watch_fd(ours.fileno())
        theirs.send(b"x")
    got = {mailbox.get().message, mailbox.get().message}
    assert got == {Readable(pair[0].fileno()), Readable(second_pair[0].fileno())}


def test_writable_is_reported_only_while_it_is_wanted(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno(), write=True)
    assert mailbox.get().message == Writable(ours.fileno())
    mailbox.watch_fd(ours.fileno())
    theirs.send(b"x")
    assert mailbox.get().message == Readable(ours.fileno())


def test_nothing_stale_is_reported_of_a_descriptor_that_is_not_watched_any_more(pair, second_pair):
    mailbox = SelectableMailbox()
    for ours, theirs in (pair, second_pair):
        mailbox.watch_fd(ours.fileno())
        theirs.send(b"x")
    first = mailbox.get().message
    other = second_pair if first == Readable(pair[0].fileno()) else pair
    mailbox.unwatch_fd(other[0].fileno())  # it is known to be ready, and reported next
    mailbox.unwatch_fd(first.fd)
    mailbox.send_after(0.05, "timer")
    assert mailbox.get().message == "timer"  # nothing stale comes before it


def test_not_even_writable_is_stale_when_it_is_not_wanted_any_more(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno(), write=True)
    theirs.send(b"x")
    assert mailbox.get().message == Readable(ours.fileno())  # and that it is writable is known
    ours.recv(1)
    mailbox.watch_fd(ours.fileno())
    mailbox.send_after(0.05, "timer")
    assert mailbox.get().message == "timer"


def test_unwatching_what_is_not_watched_does_nothing():
    SelectableMailbox().unwatch_fd(12345)


def test_the_other_sides_close_is_reported_as_readable(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    theirs.close()
    assert mailbox.get().message == Readable(ours.fileno())


def test_a_descriptor_that_was_closed_while_watched_is_reported_once_and_not_for_ever(pair):
    ours, _ = pair
    mailbox = SelectableMailbox()
    fd = ours.fileno()
    mailbox.watch_fd(fd)
    ours.close()
    assert mailbox.get().message == Readable(fd)
    mailbox.send_after(0.0, "timer")
    assert mailbox.get().message == "timer"


def test_a_message_wakes_the_wait_for_a_descriptor(pair):
    mailbox = SelectableMailbox()
    mailbox.watch_fd(pair[0].fileno())
    got = queue.Queue()
    thread = threading.Thread(target=lambda: got.put(mailbox.get().message), daemon=True)
    thread.start()
    mailbox.put(Envelope("message"))
    assert got.get(timeout=PATIENCE_S) == "message"
    thread.join(PATIENCE_S)


def test_a_timer_ends_the_wait_for_a_descriptor(pair):
    mailbox = SelectableMailbox()
    mailbox.watch_fd(pair[0].fileno())
    mailbox.send_after(0.01, "timer")
    assert mailbox.get().message == "timer"


def test_the_envelopes_of_a_descriptor_are_made_once(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    theirs.send(b"x")
    assert mailbox.get() is mailbox.get()


def test_a_readable_is_not_an_ask_even_right_after_one(pair):
    ours, theirs = pair
    mailbox = SelectableMailbox()
    mailbox.watch_fd(ours.fileno())
    mailbox.put(Envelope("ask", reply_to=None))
    mailbox.get()
    theirs.send(b"x")
    mailbox.get()
    assert not mailbox.in_hand_is_ask()


def test_works_with_a_pair_of_sockets_where_there_is_no_eventfd(pair, monkeypatch):
    monkeypatch.delattr(os, "eventfd")
    mailbox = SelectableMailbox()
    assert isinstance(mailbox._wakeup, SocketPair)
    got = queue.Queue()
    thread = threading.Thread(target=lambda: [got.put(mailbox.get().message) for _ in range(3)], daemon=True)
    thread.start()
    for number in range(3):
        mailbox.put(Envelope(number))
        assert got.get(timeout=PATIENCE_S) == number
    thread.join(PATIENCE_S)
    mailbox.finalize(NORMAL)


def test_the_wake_up_descriptor_is_closed_when_the_mailbox_is_finalized():
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    mailboxes = [SelectableMailbox() for _ in range(10)]
    assert len(set(os.listdir("/proc/self/fd")) - before) == 10
    for mailbox in mailboxes:
        mailbox.finalize(NORMAL)
    gc.collect()
    assert set(os.listdir("/proc/self/fd")) <= before
    assert len(mailboxes) == 10


@pytest.mark.usefixtures("switching")
def test_late_puts_never_write_to_somebody_elses_descriptor():
    for _ in range(100):
        mailbox = SelectableMailbox()
        owner = threading.Thread(target=mailbox.get, daemon=True)
        stop = threading.Event()

        def flood(mailbox=mailbox, stop=stop):
            while not stop.is_set():
                try:
                    mailbox.put(Envelope("late"))
                except ActorDown:
                    pass

        sender = threading.Thread(target=flood, daemon=True)
        owner.start()
        sender.start()
        mailbox.finalize(KILLED)
        # The freed number is taken again at once: a late wake-up by number would be seen here.
        victims = [os.pipe2(os.O_NONBLOCK) for _ in range(2)]
        owner.join(PATIENCE_S)
        stop.set()
        sender.join(PATIENCE_S)
        for reader, writer in victims:
            with pytest.raises(BlockingIOError):
                os.read(reader, 8)
            os.close(reader)
            os.close(writer)


def test_closing_wakes_an_owner_whose_sender_has_not_come_to_signal(eventually):
    mailbox = SelectableMailbox()
    owner = threading.Thread(target=mailbox.get, name="owner", daemon=True)
    owner.start()
    eventually(lambda: mailbox._parked)
    mailbox._parked = False  # as a sender does between its append and its signal
    mailbox.finalize(KILLED)
    owner.join(PATIENCE_S)
    assert not owner.is_alive()


class Echo(GenServer):
    """Sends back what it reads, from its own mailbox."""

    _create_actor_inbox = staticmethod(SelectableMailbox)

    def __init__(self, sock):
        super().__init__()
        self._sock = sock

    def on_start(self):
        self.actor_inbox.watch_fd(self._sock.fileno())

    def on_receive(self, message):
        if isinstance(message, Readable):
            data = self._sock.recv(65536)
            if data:
                self._sock.sendall(data)
            else:
                self.actor_inbox.unwatch_fd(message.fd)
                return None
        return message


def test_an_actor_serves_its_socket_and_its_mailbox_in_one_thread(pair, start_worker):
    ours, theirs = pair
    theirs.settimeout(PATIENCE_S)
    ref = start_worker(ours, actor_class=Echo)
    for number in range(50):
        theirs.sendall(b"%03d" % number)
        assert ref.ask(number, timeout=PATIENCE_S) == number
        assert theirs.recv(3) == b"%03d" % number

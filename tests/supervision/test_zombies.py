"""Abandoned threads: their stacks are taken without harm. That they are listed and do no harm: test_supervisor.py and others."""

import gc
import linecache
import sys
import threading

from trunkline.supervision.zombies import stack_of

PATIENCE_S = 30.0


def test_no_garbage_is_collected_while_a_stack_is_taken():
    """Else Python code runs, and other threads, in the middle of it: CPython 3.11 hangs or crashes then."""
    lines, thresholds, release = [], gc.get_threshold(), threading.Event()
    waiting = [threading.Thread(target=release.wait, args=(PATIENCE_S,)) for _ in range(8)]
    for thread in waiting:
        thread.start()

    def note(phase, info):
        frame = sys._getframe(1)
        lines.append(linecache.getline(frame.f_code.co_filename, frame.f_lineno))

    linecache.getlines(stack_of.__code__.co_filename)
    gc.callbacks.append(note)
    gc.set_threshold(1)
    try:
        stack = stack_of(threading.current_thread())
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.remove(note)
        release.set()
        for thread in waiting:
            thread.join(PATIENCE_S)
    assert "test_no_garbage_is_collected" in stack
    assert not [line for line in lines if "extend(down)" in line]
    assert gc.isenabled()


def test_a_thread_that_has_ended_is_nowhere():
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert stack_of(thread) == ""

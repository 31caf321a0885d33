"""What holds for the whole suite."""

import gc


def pytest_collection_finish():
    """Keep the collected tests out of the garbage collector's way.

    The leak checks collect after each test, and thousands of collected tests made that the most expensive part of the suite
    (350 s against 85 s).
    """
    gc.collect()
    gc.freeze()


def pytest_runtest_logreport(report):
    """Likewise what pytest keeps of each test."""
    if report.when == "teardown":
        gc.collect()  # garbage must not be frozen: it would hide what it holds
        gc.freeze()

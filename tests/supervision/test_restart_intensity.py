"""How many restarts are too many."""

import pytest

from trunkline.supervision.restart_intensity import RestartIntensity


def after(intensity, *times):
    for now in times:
        intensity = intensity.add(now)
    return intensity


@pytest.mark.parametrize(
    ("max_restarts", "times", "exceeded"),
    [
        (0, [1.0], True),
        (1, [1.0], False),
        (1, [1.0, 2.0], True),
        (3, [0.0, 1.0, 2.0], False),
        (3, [0.0, 1.0, 2.0, 3.0], True),
        (1, [0.0, 5.0], True),  # the window is closed at both ends
        (1, [0.0, 5.0001], False),
        (1, [0.0, 6.0, 12.0, 18.0], False),
    ],
)
def test_more_than_max_restarts_within_the_window_are_too_many(max_restarts, times, exceeded):
    assert after(RestartIntensity(max_restarts, 5.0), *times).exceeded is exceeded


def test_old_restarts_are_forgotten():
    assert len(after(RestartIntensity(3, 5.0), *range(0, 1000, 2)).restarts) <= 4

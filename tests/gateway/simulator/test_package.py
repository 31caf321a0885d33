"""The package's own words: the example of its docstring runs."""

from __future__ import annotations

import textwrap

import trunkline.gateway.simulator as simulator


def test_the_example_runs_as_written(capsys):
    """The first indented block of the docstring."""
    lines = (simulator.__doc__ or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("    "))
    end = next(i for i in range(start, len(lines)) if lines[i] and not lines[i].startswith("    "))
    exec(textwrap.dedent("\n".join(lines[start:end])), {})  # noqa: S102
    assert capsys.readouterr().out == "The capital of Canada is Ottawa.\n"


def test_all_names_that_are_offered_exist():
    assert all(hasattr(simulator, name) for name in simulator.__all__)

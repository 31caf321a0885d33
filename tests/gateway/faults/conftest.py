"""What the package says of itself, as data."""

import re

import pytest

from trunkline.gateway import faults

SEAMS = {"S": "simulator", "T": "transport", "P": "proxy"}


@pytest.fixture(scope="session")
def package_table():
    """The table in the package's docstring: name of a fault -> its seams."""
    rows = re.findall(r"^(\w+) +((?:[STP] ?)+) +\S", faults.__doc__, re.MULTILINE)
    return {name: {SEAMS[letter] for letter in seams.split()} for name, seams in rows}

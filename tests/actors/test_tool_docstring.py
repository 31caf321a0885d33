"""What is read out of docstrings."""

import pytest

from trunkline.actors.tool_docstring import argument_descriptions, first_paragraph


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        (None, ""),
        ("", ""),
        ("One line.", "One line."),
        ("Two\n    lines.\n\n    And more.", "Two lines."),
        ("\n    Starts on the second line.\n    ", "Starts on the second line."),
        ("Says.\n    Args:\n        a: x", "Says."),
        ("Args:\n        a: x", ""),
    ],
)
def test_the_first_paragraph_is_one_line(docstring, expected):
    assert first_paragraph(docstring) == expected


def test_arguments_are_read_with_their_continuation_lines_and_without_their_types():
    docstring = """Do.

    Args:
        a: One,
            and more: with a colon.
        b (int, optional): Two.

        c:
            Three.
        d:

    Returns:
        e: not an argument
    """
    assert argument_descriptions(docstring) == {
        "a": "One, and more: with a colon.",
        "b": "Two.",
        "c": "Three.",
    }


@pytest.mark.parametrize(
    "docstring", [None, "", "Do.", "Args:", "Args:\n\n", "Args:\n    just words\n    more"]
)
def test_no_arguments_section_means_no_descriptions(docstring):
    assert argument_descriptions(docstring) == {}


def test_text_after_the_section_is_not_part_of_it():
    assert argument_descriptions("Do.\n\n    Arguments:\n        a: x\n    b: y\n    ") == {"a": "x"}

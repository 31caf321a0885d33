"""What the rule brain knows without a tool: some facts, what it was told, and a few requests. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from .vocabulary import NUMBER_WORDS

_CAPITALS = {
    "canada": "Ottawa",
    "france": "Paris",
    "japan": "Tokyo",
    "germany": "Berlin",
    "italy": "Rome",
    "spain": "Madrid",
    "portugal": "Lisbon",
    "austria": "Vienna",
    "switzerland": "Bern",
    "sweden": "Stockholm",
    "norway": "Oslo",
    "finland": "Helsinki",
    "denmark": "Copenhagen",
    "poland": "Warsaw",
    "greece": "Athens",
    "egypt": "Cairo",
    "kenya": "Nairobi",
    "india": "New Delhi",
    "china": "Beijing",
    "australia": "Canberra",
    "brazil": "Brasilia",
    "argentina": "Buenos Aires",
    "mexico": "Mexico City",
    "united states": "Washington, D.C.",
    "united kingdom": "London",
}
_FACTS = {
    r"\bhow many (?:days|day)\b.*\b(?:week)\b": "A week has seven days.",
    r"\bspeed of light\b": "Light travels at 299,792 kilometres per second in a vacuum.",
    r"\b(?:who are you|what are you)\b": "I am the Trunkline simulator, a rule-based stand-in for a realtime model.",
    r"\btallest mountain\b|\bhighest mountain\b": "The highest mountain is Mount Everest, at 8,849 metres.",
    r"\btell me a (?:story|long story)\b": (
        "Once upon a time there was a line between two stations. One night the wire came down in a storm, and the operator "
        "on duty did not wait to be told: she tied a new one, called the roll, and the message went through in the "
        "morning as if nothing had happened. They asked her how she had done it. I was only one of many, she said, and "
        "each of us knew whom to wake."
    ),
}
_GREETING = re.compile(r"^\s*(?:hi|hello|hey|good (?:morning|afternoon|evening))\b[^?]*$", re.IGNORECASE)
_THANKS = re.compile(r"\b(?:thanks|thank you)\b", re.IGNORECASE)
_SAY = re.compile(r"^\s*(?:please\s+)?(?:say|repeat after me|repeat)\b\s*:?\s*(.+?)\s*$", re.IGNORECASE)
_COUNT = re.compile(r"\bcount (?:up )?(?:from \w+ )?to (\d+|\w+)", re.IGNORECASE)
_SUM = re.compile(
    r"(-?\d+(?:\.\d+)?)\s*(\+|plus|-|minus|\*|x|times|/|divided by)\s*(-?\d+(?:\.\d+)?)", re.IGNORECASE
)
_CAPITAL = re.compile(r"\bcapital (?:city )?of (?:the )?([a-z ]+?)\s*(?:[?.!,]|$)", re.IGNORECASE)
_TOLD_NAME = re.compile(
    r"\b(?:my name is|call me|i am called)\s+([\w'-]+(?:\s+[A-Z][\w'-]*)*)", re.IGNORECASE
)
_TOLD = re.compile(r"\bmy ([\w ]{2,40}?) is ([^.!?,;]+)", re.IGNORECASE)
_ASKED = re.compile(
    r"\b(?:what(?:'s|s| is| was)?|who(?:'s| is)|tell me|do you (?:know|remember)) my ([\w ]+)",
    re.IGNORECASE,
)
_ASKED_BEFORE = re.compile(r"\bwhat did i (?:just )?(?:say|ask|tell you)\b", re.IGNORECASE)
_MAX_COUNT = 100

_OPERATIONS: dict[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "plus": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "minus": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "x": lambda a, b: a * b,
    "times": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "divided by": lambda a, b: a / b,
}


def answer(user_texts: Sequence[str]) -> str | None:
    """Return what there is to say to the last of the user's texts, knowing the earlier ones; None: nothing special."""
    text = user_texts[-1] if user_texts else ""
    for rule in (_from_memory, _fact, _request, _courtesy):
        said = rule(text, user_texts)
        if said is not None:
            return said
    return None


def _from_memory(text: str, user_texts: Sequence[str]) -> str | None:
    if _ASKED_BEFORE.search(text):
        return f"You said: {user_texts[-2]}" if len(user_texts) > 1 else "You have not said anything before."
    asked = _ASKED.search(text)
    if asked:
        subject = asked.group(1).strip().lower()
        known = _told(user_texts)
        return (
            f"Your {subject} is {known[subject]}."
            if subject in known
            else f"You have not told me your {subject}."
        )
    told = _told([text])
    if "name" in told:
        return f"Nice to meet you, {told['name']}."
    for subject, value in told.items():
        return f"I will remember that your {subject} is {value}."
    return None


def _told(user_texts: Sequence[str]) -> dict[str, str]:
    """Return what the user said about themselves; the latest word counts."""
    known: dict[str, str] = {}
    for text in user_texts:
        for match in _TOLD.finditer(text):
            known[match.group(1).strip().lower()] = match.group(2).strip()
        for match in _TOLD_NAME.finditer(text):
            known["name"] = match.group(1).strip()
    return known


def _fact(text: str, user_texts: Sequence[str]) -> str | None:
    capital = _CAPITAL.search(text)
    if capital and capital.group(1).strip().lower() in _CAPITALS:
        country = capital.group(1).strip()
        return f"The capital of {country} is {_CAPITALS[country.lower()]}".rstrip(".") + "."
    for pattern, fact in _FACTS.items():
        if re.search(pattern, text, re.IGNORECASE):
            return fact
    return _arithmetic(text)


def _arithmetic(text: str) -> str | None:
    match = _SUM.search(text)
    if match is None:
        return None
    left, operator, right = match.groups()
    if operator in ("/", "divided by") and float(right) == 0:
        return "Nothing can be divided by zero."
    result = _OPERATIONS[operator.lower()](float(left), float(right))
    return f"The answer is {result:g}."


def _request(text: str, user_texts: Sequence[str]) -> str | None:
    said = _SAY.match(text)
    if said:
        return said.group(1).strip("\"“”'")
    count = _COUNT.search(text)
    if count is None:
        return None
    word = count.group(1).lower()
    end = int(word[:4]) if word.isdecimal() else NUMBER_WORDS.index(word) if word in NUMBER_WORDS else 10
    return ", ".join(str(number) for number in range(1, min(end, _MAX_COUNT) + 1)) + "."


def _courtesy(text: str, user_texts: Sequence[str]) -> str | None:
    if _GREETING.match(text):
        return "Hello! How can I help you?"
    return "You are welcome." if _THANKS.search(text) else None

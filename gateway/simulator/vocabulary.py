"""The words the rule brain knows something about. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def words(text: str) -> frozenset[str]:
    """Return the words of a space-separated list."""
    return frozenset(text.split())


# Words that many tools have in their names and that say nothing about what they do.
GENERIC_IN_TOOLS = words(
    "get fetch lookup look up find set do call tool function run make check current tell show give use return compute "
    "calculate query list a an the of in on at to for and or by is are it its with from as this that given two one any "
    "user value values number numbers string name names city place what which who how"
)

_ADDING = words("add plus sum total together")

SYNONYMS: Mapping[str, frozenset[str]] = {
    "weather": words("weather temperature forecast rain raining sunny snow snowing warm cold degree"),
    "temperature": words("temperature warm cold hot degree"),
    "time": words("time clock hour"),
    "add": _ADDING,
    "sum": _ADDING,
    "subtract": words("subtract minus difference"),
    "multiply": words("multiply times product"),
    "divide": words("divide quotient"),
    "order": words("order parcel package shipment delivery"),
    "search": words("search google"),
    "email": words("email mail"),
}

# Words that are no name although a sentence may open with them, in capitals.
OPENERS = words(
    "what how is are was were please tell add i call use get and the in which who where when why can could would will do "
    "does did show give find look check compare hi hello hey thanks thank my me you it a an now then also so ok okay yes "
    "no let lets today tomorrow for of at near about plus sum multiply calculate compute send book translate search set "
    "play remind turn cancel track if need want that's whats i'm i'd there here same or to from"
)

# What is left out where the content of a phrase is wanted.
STOP_WORDS = OPENERS | words(
    "like right currently current there's be been being with on by this that these those s degrees up out any some see "
    "know have has had just really again soon much many"
)

NUMBER_WORDS = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
)

# By what a parameter is called: what kind of thing it wants.
CODE_PARAMETERS = words("id number code order ticket sku reference invoice account serial tracking")
TEXT_PARAMETERS = words(
    "query text message question prompt topic input content body subject q search term phrase sentence note title reason "
    "expression words"
)
ADDRESS_PARAMETERS = words("to cc recipient address contact email mail")
LINK_PARAMETERS = words("url link uri")
DATE_PARAMETERS = words("date day when")
ORIGIN_PARAMETERS = words("from origin source start departure")
TARGET_PARAMETERS = words("to destination target end arrival recipient language")

"""The default brain: answers a handful of questions, calls the tools it is offered, answers from their outputs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from .argument_filling import Arguments, fill, placeholders
from .conversation import Conversation, is_message, text_of
from .output_wording import answer_from
from .small_talk import answer
from .steps import CallTool, Say, Step
from .tool_matching import Tool, Wanted, matching

_ASKING = "To do that I need to know the "


@dataclass(frozen=True, slots=True)
class _Offer:
    """The tools that may be called, and whether one has to be."""

    tools: Sequence[Tool]
    must_call: bool


class RuleBrain:
    """A counterpart for demos and tests, without a model.

    In this order it
      1. answers from the outputs of tools that were called since it last spoke,
      2. calls the offered tools that the user's words ask for (several at once, if several things are named), or asks
         for what they require and the user did not say,
      3. answers what it knows: some capitals and facts, arithmetic, what the user told it earlier,
      4. says what it heard.
    """

    def reply(self, conversation: Conversation) -> Iterable[Step]:
        """Return the steps of one response."""
        outputs = conversation.outputs
        if outputs:
            return [Say(answer_from(outputs))]
        offer = _offer(conversation)
        text = _request_text(conversation)
        wanted = matching(offer.tools, text)
        if not wanted and offer.must_call:
            wanted = [Wanted(tool, text) for tool in offer.tools[:1]]
        return _calls(wanted, text, offer.must_call) or [Say(_plain_answer(conversation))]


def _offer(conversation: Conversation) -> _Offer:
    choice = conversation.tool_choice
    tools = [tool for tool in conversation.tools if tool.get("type") == "function"]
    if isinstance(choice, Mapping):
        forced = [tool for tool in tools if tool.get("name") == choice.get("name")]
        return _Offer(forced, must_call=bool(forced))
    return _Offer([] if choice == "none" else tools, must_call=choice == "required" and bool(tools))


def _plain(texts: Sequence[str]) -> list[str]:
    """Return texts as typed on a keyboard: with plain apostrophes."""
    return [text.replace("\u2019", "'") for text in texts]


def _request_text(conversation: Conversation) -> str:
    """Return what the user wants now; the answer to a question of ours goes with what they had asked before."""
    texts = _plain(conversation.user_texts)
    if not texts or not any(is_message(item, "user") for item in conversation.unanswered):
        # Nothing new from the user: the response's own instructions are all there is to go by.
        return conversation.instructions if conversation.out_of_band else ""
    said = [text_of(item) for item in conversation.items if is_message(item, "assistant")]
    if len(texts) > 1 and said and said[-1].startswith(_ASKING):
        return f"{texts[-2].rstrip(' ?.!')} for {texts[-1]}"
    return texts[-1]


def _calls(wanted: Sequence[Wanted], text: str, must_call: bool) -> list[Step]:
    """Return the calls; or, when something required is not said and no call is forced, the question for it."""
    calls: list[Step] = []
    missing: list[str] = []
    for one in wanted:
        name = one.tool["name"]
        filled = fill(one.tool, one.text)
        if filled.missing and one.text != text:
            # "the weather and the time in Paris": the part about the weather does not say where, the whole does.
            filled = fill(one.tool, text)
        if filled.missing and not must_call:
            missing += [argument for argument in filled.missing if argument not in missing]
            continue
        blanks = placeholders(one.tool, filled.missing)
        for arguments in filled.calls:
            given: Arguments = {**arguments, **blanks}
            calls.append(CallTool(name, given))
    if missing and not calls:
        listed = " and the ".join(name.replace("_", " ") for name in missing)
        return [Say(f"{_ASKING}{listed}.")]
    return calls


def _plain_answer(conversation: Conversation) -> str:
    texts = _plain(conversation.user_texts)
    if not texts:
        said = answer([conversation.instructions]) if conversation.out_of_band else None
        return said or "Hello! How can I help you?"
    known = answer(texts)
    if known is not None:
        return known
    return f"I heard: {texts[-1]}" if texts[-1] else "I heard you, but I cannot make out words."

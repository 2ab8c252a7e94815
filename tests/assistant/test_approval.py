"""What was said by whom, and the desk at which a turn waits."""

import threading

import pytest
from scripted_tools import SEND

from assistant.approval import (
    Approved,
    Decision,
    Declined,
    Desk,
    Permission,
    Question,
    as_json,
    default_permission,
    unsaid,
)
from assistant.errors import BadArguments, NothingAsked
from assistant.literals import Value
from assistant.toolsource import Effects

QUESTION = Question("call_1", SEND, {"to": "bo", "text": "Hi"})


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("Oslo", True),
        ("oslo", True),
        ("Bergen", False),
        (7, True),
        (17, False),
        (2.5, True),
        (5, False),
        ({"city": ["Oslo", {"n": 7}]}, True),
        ({"city": ["Oslo", "Bergen"]}, False),
        (True, True),
        (None, True),
        ([], True),
        ("", True),
    ],
)
def test_a_value_is_said_if_all_its_words_and_numbers_were(value: Value, said: bool) -> None:
    assert unsaid({"x": value}, ["What about Oslo", "at 7, or 2.5?"]) == (
        frozenset() if said else {"x"}
    )


def test_only_what_changes_or_sends_something_asks_first() -> None:
    asks = {effects for effects in Effects if default_permission(effects) is Permission.ASK}
    assert asks == {Effects.WRITE, Effects.NETWORK}


def test_arguments_become_jsons_kinds() -> None:
    assert as_json({"a": (1, {2: (3,)})}) == {"a": [1, {"2": [3]}]}


def test_the_desk_hands_the_first_answer_over() -> None:
    desk = Desk()
    got: list[Decision | None] = []
    desk.put(QUESTION)
    thread = threading.Thread(target=lambda: got.append(desk.wait()))
    thread.start()
    desk.answer("call_1", Declined())
    thread.join()
    assert got == [Declined()]
    with pytest.raises(NothingAsked):
        desk.answer("call_1", Declined())


def test_an_answer_that_the_tool_cannot_take_is_not_one() -> None:
    desk = Desk()
    desk.put(QUESTION)
    with pytest.raises(BadArguments):
        desk.answer("call_1", Approved({"to": 3, "text": "Hi"}))
    desk.answer("call_1", Approved({"to": "al", "text": "Hi"}))
    assert desk.wait() == Approved({"to": "al", "text": "Hi"})


def test_a_closed_desk_keeps_nobody_waiting() -> None:
    desk = Desk()
    desk.put(QUESTION)
    desk.close()
    assert desk.wait() is None

"""Whose a conversation is: nobody else finds it, reads it or drives it out."""

import pytest

from assistant import LOCAL, Access, Mode, Visitor
from assistant.conversations import MAX_CONVERSATIONS, Conversations
from assistant.errors import UnknownConversation

ANN = Visitor("ann", Access.USER)
BOB = Visitor("bob", Access.USER)
EVE = Visitor("eve", Access.OPERATOR, "signed-in")


class Kept(Conversations):
    """All conversations, and the ids of those that were forgotten."""

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        super().__init__(self.forgotten.append)

    def made_by(self, visitor: Visitor) -> str:
        return self.new(Mode.CHAT, visitor.name).id

    def finds(self, visitor: Visitor, conversation_id: str) -> bool:
        try:
            return self.of(visitor, conversation_id).id == conversation_id
        except UnknownConversation:
            return False


@pytest.mark.parametrize(
    ("owner", "visitor", "is_theirs"),
    [
        (ANN, ANN, True),
        (ANN, BOB, False),
        (ANN, EVE, False),  # an operator reads nobody's
        (ANN, LOCAL, False),
        (ANN, Visitor("ann", Access.OPERATOR), True),
        (EVE, EVE, True),
        (EVE, LOCAL, False),
        (LOCAL, LOCAL, True),
        (LOCAL, EVE, True),  # what was said at the machine
        (LOCAL, ANN, False),
        (LOCAL, Visitor("", Access.USER), False),
    ],
)
def test_a_conversation_is_found_by_its_owner_alone(
    owner: Visitor, visitor: Visitor, is_theirs: bool
) -> None:
    kept = Kept()
    assert kept.finds(visitor, kept.made_by(owner)) is is_theirs


def test_somebody_elses_is_as_unknown_as_one_that_is_not_there() -> None:
    kept = Kept()
    errors = []
    for conversation_id in (kept.made_by(ANN), "made-up"):
        with pytest.raises(UnknownConversation) as raised:
            kept.of(BOB, conversation_id)
        errors.append((str(raised.value), raised.value.fields))
    assert errors[0] == errors[1]


def test_nobody_drives_out_what_is_somebody_elses() -> None:
    kept = Kept()
    anns, locals_ = kept.made_by(ANN), kept.made_by(LOCAL)
    bobs = [kept.made_by(BOB) for _ in range(MAX_CONVERSATIONS + 2)]
    assert kept.finds(ANN, anns)
    assert kept.finds(LOCAL, locals_)
    assert kept.forgotten == bobs[:2]


def test_asking_for_somebody_elses_does_not_keep_it_from_being_forgotten() -> None:
    kept = Kept()
    first = kept.made_by(ANN)
    second = kept.made_by(ANN)
    assert not kept.finds(BOB, first)
    for _ in range(MAX_CONVERSATIONS - 1):
        kept.made_by(ANN)
    assert kept.forgotten == [first]
    assert kept.finds(ANN, second)

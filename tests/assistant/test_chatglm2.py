"""ChatGLM2: numbered rounds, as its authors' own program writes and encodes them."""

import pytest
from chatglm_tokenizer import chatglm_tokenizer, tokenizer_models
from fake_engine import CHATGLM2, FakeTokenizer, as_tokenizer

from assistant.errors import CallsNotTaught
from assistant.events import TextDelta
from assistant.formats.chatglm2 import ChatGLM2
from assistant.messages import Message, Role
from assistant.parse import AnswerEnd, Offer
from assistant.toolspec import ToolSpec
from engine import Tokenizer
from engine.tokenizer_chatglm import CONTROLS_2

NO_TOOL = ToolSpec("f", "", {})
# Round 1's answer is longer than the model's reply would be, to see pieces that could join.
ROUNDS = (
    "[Round 1]\n\n问：你好\n\n答：你好，我是 ChatGLM2。\n\n[Round 2]\n\n问：1+1=?\n\n答：2\n\n"
    "[Round 3]\n\n问：  hi\n\n答："
)


def user(text: str) -> Message:
    return Message(Role.USER, text)


def answer(text: str, ids: tuple[int, ...] = ()) -> Message:
    return Message(Role.ASSISTANT, text, ids=ids)


TOKENIZERS = {
    name: chatglm_tokenizer(model, CONTROLS_2) for name, model in tokenizer_models().items()
}
CONVERSATION = [
    *(user("你好"), answer("你好，我是 ChatGLM2。")),
    *(user("1+1=?"), answer("2"), user("  hi")),
]


@pytest.fixture
def spelled() -> FakeTokenizer:
    return FakeTokenizer(CHATGLM2)


@pytest.fixture(params=list(TOKENIZERS))
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return TOKENIZERS[request.param]


@pytest.fixture
def chatglm2(tokenizer: Tokenizer) -> ChatGLM2:
    return ChatGLM2(tokenizer, {})


def test_text_is_encoded_at_once_behind_the_prefix(
    chatglm2: ChatGLM2, tokenizer: Tokenizer
) -> None:
    prefix = [tokenizer.special("[gMASK]"), tokenizer.special("sop")]
    assert chatglm2.encode_prompt(CONVERSATION) == [*prefix, *tokenizer.encode(ROUNDS)]


def test_what_the_model_wrote_is_replayed_and_the_prompt_grows_at_its_end(
    chatglm2: ChatGLM2, tokenizer: Tokenizer
) -> None:
    first = chatglm2.encode_prompt([user("你好")])
    ids = tuple(piece for letter in "你好" for piece in tokenizer.encode(letter))
    later = chatglm2.encode_prompt([user("你好"), answer("你好", ids), user("hi")])
    assert later[: len(first) + len(ids)] == [*first, *ids]
    # As its own program does when it goes on from its cache: encoded, less the word boundary.
    boundary = len(tokenizer.encode("\n")) - 1
    behind = tokenizer.encode("\n\n[Round 2]\n\n问：hi\n\n答：")[boundary:]
    assert later[len(first) + len(ids) :] == behind


def test_a_prompt_that_ends_with_an_answer_leaves_it_open(
    chatglm2: ChatGLM2, tokenizer: Tokenizer
) -> None:
    first = chatglm2.encode_prompt([user("你好")])
    assert chatglm2.encode_prompt([user("你好"), answer("x", (7, 8))]) == [*first, 7, 8]


def test_a_message_is_measured_as_it_stands_in_a_late_round(
    chatglm2: ChatGLM2, tokenizer: Tokenizer
) -> None:
    alone = chatglm2.encode_prompt([user("hi"), answer("x", (7, 8))])
    both = chatglm2.encode_prompt([user("hi"), answer("x", (7, 8)), user("hi")])
    assert len(chatglm2.encode_message(user("hi"))) == len(both) - len(alone) + 2
    assert chatglm2.encode_message(answer("x", (7, 8))) == [7, 8]


def test_a_system_prompt_stands_above_the_first_question(spelled: FakeTokenizer) -> None:
    chatglm2 = ChatGLM2(as_tokenizer(spelled), {})
    system = Message(Role.SYSTEM, "Be brief.")
    assert spelled.spell(
        chatglm2.encode_prompt([system, user("Hi"), answer("Yes"), user("?")])
    ) == ("[gMASK]sop[Round 1]\n\n问：Be brief.\nHi\n\n答：Yes\n\n[Round 2]\n\n问：?\n\n答：")
    assert spelled.spell(chatglm2.encode_prompt([system])) == "[gMASK]sopBe brief."


def test_answers_stop_at_the_end_of_the_text(chatglm2: ChatGLM2) -> None:
    assert chatglm2.stop_ids == {2}


def test_an_answer_is_text_whatever_it_spells(chatglm2: ChatGLM2) -> None:
    parser = chatglm2.parser(Offer())
    events = [*parser.feed(5, " \n"), *parser.feed(6, " get_weather"), *parser.feed(7, "\n f()")]
    assert [*events, *parser.finish(2, " ")] == [
        *(TextDelta("get_weather"), TextDelta("\n f()"), TextDelta(" ")),
        AnswerEnd(asks=False),
    ]


@pytest.mark.parametrize("offer", [Offer(frozenset({"f"})), Offer(code=True)])
def test_tools_and_code_are_refused_as_never_taught(chatglm2: ChatGLM2, offer: Offer) -> None:
    with pytest.raises(CallsNotTaught, match="ChatGLM2 models were never taught"):
        chatglm2.parser(offer)
    with pytest.raises(CallsNotTaught):
        chatglm2.encode_prompt([user("Hi")], [NO_TOOL])

"""A turn: what of the engine's events becomes an answer."""

from collections.abc import Sequence

from fake_engine import CHATGLM3, CHATML, FakeDecoder, FakeEngine, FakeTokenizer, as_engine

from assistant import ChatSettings, FinishReason
from assistant.events import Event, TextDelta, TurnFinished
from assistant.formats import format_for
from assistant.messages import Ended, Message, Role
from assistant.round import Model
from assistant.turn import Turn

QUESTION = Message(Role.USER, "Hi")
CUT = Ended(FinishReason.LENGTH)


def turn_on(fake: FakeEngine, *messages: Message) -> Turn:
    engine = as_engine(fake)
    chat_format = format_for(engine)
    model = Model(engine, chat_format, ChatSettings().sampling(chat_format.stop_ids))
    return Turn(model, messages)


def run(turn: Turn) -> tuple[str, Message]:
    """The text that was streamed, and the answer."""
    events: list[Event] = []
    turn.run(events.append)
    assert isinstance(events[-1], TurnFinished)
    text = "".join(event.text for event in events if isinstance(event, TextDelta))
    (answer,) = turn.messages(events[-1].ended)
    return text, answer


def test_the_messages_of_an_answer_are_kept_apart() -> None:
    fake = FakeEngine(specials=CHATGLM3)
    turn = turn_on(fake, QUESTION)
    generation = fake.generations[0]
    generation.say("\n 看：")
    role = fake.tokenizer.special("<|assistant|>")
    assert role is not None
    generation.put(role, "")
    generation.say("interpreter\n 1+1")
    generation.finish()
    text, answer = run(turn)
    assert text == answer.content == "看：\n\n1+1"
    assert answer.metadata == "interpreter"
    assert fake.tokenizer.spell(answer.ids) == "\n 看：<|assistant|>interpreter\n 1+1"


def test_a_call_is_text_where_nothing_is_offered() -> None:
    fake = FakeEngine('<tool_call>{"name": "f"}</tool_call>')
    text, answer = run(turn_on(fake, QUESTION))
    assert text == answer.content == '<tool_call>{"name": "f"}</tool_call>'


class WordTokenizer(FakeTokenizer):
    """As SentencePiece does, takes the blank off the first piece of a text."""

    words = ("▁Hello", "▁world")

    def stream(self) -> FakeDecoder:
        return WordDecoder()


class WordDecoder(FakeDecoder):
    def __init__(self) -> None:
        self._started = False

    def feed(self, token_id: int) -> str:
        if token_id < len(WordTokenizer.words):
            word = WordTokenizer.words[token_id].replace("▁", " ")
            word, self._started = word if self._started else word.lstrip(), True
            return word
        return super().feed(token_id)


def carried_on(ids: Sequence[int]) -> str:
    fake = FakeEngine()
    fake.tokenizer = WordTokenizer(CHATML)
    turn = turn_on(fake, QUESTION, Message(Role.ASSISTANT, "Hello", ids=tuple(ids), ended=CUT))
    fake.generations[0].put(1, "world")
    fake.generations[0].put(1, " world")
    fake.generations[0].finish()
    return run(turn)[1].content


def test_an_answer_that_is_carried_on_keeps_the_blank_before_its_next_word() -> None:
    assert carried_on([0]) == "Hello world world"


def test_the_blank_before_the_first_word_of_an_answer_is_not_kept() -> None:
    assert carried_on([]) == "world world"


def test_a_blank_that_the_engine_holds_back_is_not_shown_twice() -> None:
    fake = FakeEngine()
    turn = turn_on(fake, QUESTION, Message(Role.ASSISTANT, "a", ids=(ord("a"),), ended=CUT))
    for text, shown in (("b", "b"), (" ", ""), ("c", " c")):
        fake.generations[0].put(ord(text), shown)
    fake.generations[0].finish()
    assert run(turn)[1].content == "ab c"

"""A conversation that outgrows the context: whole oldest turns go, the rest stays as it was."""

from pathlib import Path

import pytest
from fake_engine import CHATML, FakeEngine, FakeTokenizer, as_tokenizer, assistant_on
from hypothesis import given, settings
from hypothesis import strategies as st

from assistant import ChatSettings
from assistant.formats.chatml import ChatML
from assistant.messages import Message, Role
from assistant.window import Window, fit, split_turns
from engine import PromptTooLong

CHAT = ChatML(as_tokenizer(FakeTokenizer(CHATML)), {})
SYSTEM = Message(Role.SYSTEM, "Be brief.")
OPENING = CHAT.encode_prompt([])
CONTEXT, ANSWER = 1000, 200


def turn(size: int, rounds: int = 0) -> list[Message]:
    """A question, so many calls with their observations, an answer: `size` characters each."""
    calls = [Message(Role.ASSISTANT, "c" * size), Message(Role.OBSERVATION, "o" * size)]
    question, answer = Message(Role.USER, "q" * size), Message(Role.ASSISTANT, "a" * size)
    return [question, *calls * rounds, answer]


def windowed(messages: list[Message]) -> Window:
    return fit(CHAT, messages, (), CONTEXT, ANSWER)


def test_a_conversation_that_fits_is_given_whole() -> None:
    messages = [SYSTEM, *turn(100), *turn(100), *turn(100)[:1]]
    assert windowed(messages) == Window(CHAT.encode_prompt(messages), 0)


def test_the_oldest_turns_go_and_the_system_prompt_stays() -> None:
    newest = [*turn(100), *turn(100), *turn(100)[:1]]
    messages = [SYSTEM, *turn(100, rounds=1), *newest]
    assert windowed(messages) == Window(CHAT.encode_prompt([SYSTEM, *newest]), 1)


def test_room_is_kept_for_the_answer_but_not_more_than_a_quarter() -> None:
    messages = [*turn(300), *turn(50)[:1]]
    n = len(CHAT.encode_prompt(messages))
    assert fit(CHAT, messages, (), n + 100, 100).dropped_turns == 0
    assert fit(CHAT, messages, (), n + 99, 100).dropped_turns == 1
    assert fit(CHAT, messages, (), n * 4 // 3 + 1, 10_000).dropped_turns == 0


TURNS = st.lists(st.builds(turn, st.integers(1, 300), st.integers(0, 3)), min_size=1, max_size=12)


@settings(deadline=None)
@given(TURNS, st.booleans())
def test_what_is_given_is_the_system_prompt_and_the_newest_whole_turns(
    turns: list[list[Message]], with_system: bool
) -> None:
    head = [SYSTEM] if with_system else []
    turns[-1] = turns[-1][:1]
    window = windowed([*head, *(message for turn in turns for message in turn)])
    kept = [message for turn in turns[window.dropped_turns :] for message in turn]
    assert kept
    assert window.prompt == CHAT.encode_prompt([*head, *kept])
    assert len(window.prompt) <= CONTEXT - ANSWER or kept == turns[-1]
    assert (
        window.dropped_turns == 0
        or len(CHAT.encode_prompt([*head, *(message for turn in turns for message in turn)]))
        > CONTEXT - ANSWER
    )


@settings(deadline=None)
@given(st.lists(st.integers(1, 120), min_size=2, max_size=30))
def test_the_window_stays_where_it_is_while_the_conversation_fits_it(sizes: list[int]) -> None:
    messages: list[Message] = []
    before = 0
    for size in sizes:
        question, answer = turn(size)
        now = windowed([*messages, question])
        _, turns = split_turns([*messages, question])
        kept = CHAT.encode_prompt([message for turn in turns[before:] for message in turn])
        assert now.dropped_turns == before or len(kept) > CONTEXT - ANSWER
        if now.dropped_turns > before:  # then so far that the next turns fit too
            newest_alone = now.dropped_turns == len(turns) - 1
            assert newest_alone or len(now.prompt) <= 3 / 4 * (CONTEXT - ANSWER) + len(OPENING)
        before = now.dropped_turns
        messages += [question, answer]


def test_messages_before_the_first_question_are_a_turn_of_their_own() -> None:
    greeting = Message(Role.ASSISTANT, "Hello")
    assert split_turns([greeting, *turn(1)]) == ([], [[greeting], turn(1)])


def test_a_newest_turn_that_is_too_long_alone_is_refused(tmp_path: Path) -> None:
    assistant = assistant_on(FakeEngine("ok", context_length=300), tmp_path)
    conversation = assistant.new_conversation()
    assistant.ask(conversation.id, "Hi").wait()
    with pytest.raises(PromptTooLong):
        assistant.ask(conversation.id, "x" * 300)
    assert len(conversation.messages) == 2


def test_an_answer_says_how_many_turns_the_model_did_not_see(tmp_path: Path) -> None:
    engine = FakeEngine("y" * 60, context_length=300)
    assistant = assistant_on(engine, tmp_path)
    conversation = assistant.new_conversation()
    conversation.settings = ChatSettings(system_prompt="Be brief.", max_new_tokens=60)
    for number in range(4):
        job = assistant.ask(conversation.id, f"{number}" * 20)
        job.wait()
        ended = conversation.messages[-1].ended
        assert ended is not None
        assert ended.dropped_turns == job.snapshot().dropped_turns == (0, 0, 1, 2)[number]
    prompt = engine.prompt_text()
    assert "1" * 20 not in prompt
    assert "2" * 20 in prompt
    assert "Be brief." in prompt
    assert len(conversation.messages) == 8  # the person still sees them all

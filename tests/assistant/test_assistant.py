"""Conversations from the outside: asking, stopping, regenerating, continuing, clearing."""

from pathlib import Path

import pytest
from fake_engine import CHATGLM3, FakeEngine, assistant_on, loader_of

from assistant import Assistant, ChatSettings, Conversation, FinishReason
from assistant.conversations import MAX_CONVERSATIONS
from assistant.errors import (
    AnswerRunning,
    EmptyQuestion,
    ModelNotReady,
    NothingToRepeat,
    UnknownConversation,
)
from engine import EngineClosed, PromptTooLong


class Talk:
    """One conversation on a scripted engine."""

    def __init__(self, engine: FakeEngine, home: Path) -> None:
        self.engine = engine
        self.assistant = assistant_on(engine, home)
        self.conversation = self.assistant.new_conversation()
        self.id = self.conversation.id

    def ask(self, question: str) -> None:
        self.assistant.ask(self.id, question).wait()

    def contents(self) -> list[tuple[str, str]]:
        return [(message.role.value, message.content) for message in self.conversation.messages]


@pytest.fixture
def talk(tmp_path: Path) -> Talk:
    """The test speaks for the model."""
    return Talk(FakeEngine(), tmp_path)


def test_a_question_gets_its_answer(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("你好！", "再见"), tmp_path)
    talk.ask("Hi")
    talk.ask("Bye")
    assert talk.contents() == [
        ("user", "Hi"),
        ("assistant", "你好！"),
        ("user", "Bye"),
        ("assistant", "再见"),
    ]


def test_the_second_prompt_starts_with_the_first_and_its_answer(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("one", "two"), tmp_path)
    talk.ask("Hi")
    talk.ask("Bye")
    first, second = talk.engine.generations
    answer = talk.engine.tokenizer.encode("one")
    assert second.prompt[: len(first.prompt) + len(answer)] == [*first.prompt, *answer]


def test_settings_reach_the_engine(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok"), tmp_path)
    talk.conversation.settings = ChatSettings(
        system_prompt="Be brief.", temperature=0.0, top_p=0.5, max_new_tokens=7, seed=3
    )
    talk.ask("Hi")
    params = talk.engine.generations[0].params
    assert (params.temperature, params.top_p, params.max_new_tokens, params.seed) == (0, 0.5, 7, 3)
    assert params.stop_ids == {talk.engine.tokenizer.special("<|im_end|>")}
    assert "<|im_start|>system\nBe brief.<|im_end|>" in talk.engine.prompt_text()


def test_chatglm3_answers_come_without_their_header(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("\n 你好", "\n再见", specials=CHATGLM3), tmp_path)
    talk.ask("Hi")
    talk.ask("Bye")
    assert talk.contents()[1::2] == [("assistant", "你好"), ("assistant", "再见")]
    assert talk.engine.prompt_text() == (
        "[gMASK]sop<|user|>\nHi<|assistant|>\n 你好<|user|>\nBye<|assistant|>"
    )


def test_stopping_stops_the_engine_and_keeps_what_was_written(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    talk.engine.generations[0].say("Hal")
    job.cancel()
    job.wait()
    assert talk.engine.generations[0].cancelled
    assert talk.contents()[-1] == ("assistant", "Hal")
    ended = talk.conversation.messages[-1].ended
    assert ended is not None
    assert ended.reason is FinishReason.CANCELLED


def test_a_failure_keeps_the_partial_answer_and_says_why(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    talk.engine.generations[0].say("Hal")
    error = EngineClosed()
    talk.engine.generations[0].fail(error)
    job.wait()
    ended = talk.conversation.messages[-1].ended
    assert talk.contents()[-1] == ("assistant", "Hal")
    assert ended is not None
    assert (ended.reason, ended.error) == (FinishReason.ERROR, error)


def test_only_one_answer_at_a_time(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    for action in (talk.assistant.regenerate, talk.assistant.continue_):
        with pytest.raises(AnswerRunning):
            action(talk.id)
    with pytest.raises(AnswerRunning):
        talk.assistant.ask(talk.id, "Me too")
    talk.engine.generations[0].finish()
    job.wait()
    assert len(talk.engine.generations) == 1
    assert talk.contents() == [("user", "Hi"), ("assistant", "")]


def test_two_conversations_are_answered_side_by_side(talk: Talk) -> None:
    other = talk.assistant.new_conversation()
    jobs = [talk.assistant.ask(talk.id, "A"), talk.assistant.ask(other.id, "B")]
    first, second = talk.engine.generations
    second.say("b")
    second.finish()
    first.say("a")
    first.finish()
    for job in jobs:
        job.wait()
    assert talk.contents() == [("user", "A"), ("assistant", "a")]
    assert [m.content for m in other.messages] == ["B", "b"]


def test_regenerating_replaces_the_last_answer(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("first", "second"), tmp_path)
    talk.ask("Hi")
    talk.assistant.regenerate(talk.id).wait()
    assert talk.contents() == [("user", "Hi"), ("assistant", "second")]
    assert talk.engine.generations[0].prompt == talk.engine.generations[1].prompt


def test_continuing_goes_on_from_the_same_ids(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    talk.engine.generations[0].say("one two")
    talk.engine.generations[0].finish(FinishReason.LENGTH)
    job.wait()
    job = talk.assistant.continue_(talk.id)
    first, second = talk.engine.generations
    assert second.prompt == first.prompt + talk.engine.tokenizer.encode("one two")
    second.say(" three")
    second.finish()
    job.wait()
    assert talk.contents() == [("user", "Hi"), ("assistant", "one two three")]
    answer = talk.conversation.messages[-1]
    assert answer.ids == tuple(talk.engine.tokenizer.encode("one two three"))
    assert answer.ended is not None
    assert answer.ended.stats is not None
    assert answer.ended.stats.output_tokens == len("one two three")


def test_a_half_written_character_is_written_anew_when_continuing(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    generation = talk.engine.generations[0]
    generation.say("ab")
    generation.put(0x4E00, "")  # its first half: the engine holds the text back
    generation.finish(FinishReason.LENGTH)
    job.wait()
    assert talk.conversation.messages[-1].ids == (ord("a"), ord("b"))
    talk.assistant.continue_(talk.id)
    assert talk.engine.generations[1].prompt == [*generation.prompt, ord("a"), ord("b")]
    talk.assistant.close()


def test_continuing_a_chatglm3_answer_reads_no_second_header(tmp_path: Path) -> None:
    talk = Talk(FakeEngine(specials=CHATGLM3), tmp_path)
    job = talk.assistant.ask(talk.id, "Hi")
    talk.engine.generations[0].say("\n one")
    talk.engine.generations[0].finish(FinishReason.LENGTH)
    job.wait()
    job = talk.assistant.continue_(talk.id)
    talk.engine.generations[1].say(" two")
    talk.engine.generations[1].finish()
    job.wait()
    assert talk.contents()[-1] == ("assistant", "one two")


def test_an_answer_stopped_before_its_first_token_continues_from_nothing(tmp_path: Path) -> None:
    talk = Talk(FakeEngine(specials=CHATGLM3), tmp_path)
    job = talk.assistant.ask(talk.id, "Hi")
    job.cancel()
    job.wait()
    talk.assistant.continue_(talk.id)
    first, second = talk.engine.generations
    assert first.prompt == second.prompt


def test_a_whole_answer_cannot_be_continued(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("whole"), tmp_path)
    with pytest.raises(NothingToRepeat):
        talk.assistant.regenerate(talk.id)
    talk.ask("Hi")
    with pytest.raises(NothingToRepeat):
        talk.assistant.continue_(talk.id)
    assert talk.contents()[-1] == ("assistant", "whole")


def test_a_cut_by_the_context_is_told_from_a_cut_by_the_limit(tmp_path: Path) -> None:
    talk = Talk(FakeEngine(context_length=70), tmp_path)
    for n_tokens, full in ((3, False), (70 - len(talk_prompt("Hi")), True)):
        talk.conversation.clear()
        job = talk.assistant.ask(talk.id, "Hi")
        talk.engine.generations[-1].say("x" * n_tokens)
        talk.engine.generations[-1].finish(FinishReason.LENGTH)
        job.wait()
        ended = talk.conversation.messages[-1].ended
        assert ended is not None
        assert ended.context_full is full


def talk_prompt(question: str) -> list[str]:
    """A ChatML prompt, one entry a token of the scripted engine."""
    return [
        "<|im_start|>",
        *f"user\n{question}",
        "<|im_end|>",
        *"\n",
        "<|im_start|>",
        *"assistant\n",
    ]


def test_clearing_stops_the_answer_and_nothing_of_it_comes_back(talk: Talk) -> None:
    job = talk.assistant.ask(talk.id, "Hi")
    talk.engine.generations[0].say("Hal")
    talk.conversation.clear()
    job.wait()
    assert talk.engine.generations[0].cancelled
    assert talk.contents() == []
    assert talk.conversation.job is None


def test_a_prompt_too_long_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok", context_length=100), tmp_path)
    talk.ask("Hi")
    before = talk.conversation.view()
    with pytest.raises(PromptTooLong) as refusal:
        talk.assistant.ask(talk.id, "x" * 200)
    assert "100" in str(refusal.value)
    assert str(refusal.value.fields["prompt_tokens"]) in str(refusal.value)
    assert talk.conversation.view() == before


@pytest.mark.parametrize("blank", ["", "  \n\t "])
def test_an_empty_question_is_refused(talk: Talk, blank: str) -> None:
    with pytest.raises(EmptyQuestion):
        talk.assistant.ask(talk.id, blank)
    assert talk.contents() == []


def test_half_a_surrogate_pair_is_replaced_before_the_tokenizer_sees_it(tmp_path: Path) -> None:
    talk = Talk(FakeEngine("ok"), tmp_path)
    talk.ask("a\udce4b")
    assert talk.contents()[0] == ("user", "a?b")


def test_asking_before_the_model_is_there_is_refused(tmp_path: Path) -> None:
    assistant = Assistant(loader_of(FakeEngine(), tmp_path))
    conversation = assistant.new_conversation()
    with pytest.raises(ModelNotReady):
        assistant.ask(conversation.id, "Hi")
    assert conversation.messages == ()


def test_an_unknown_conversation_is_named(talk: Talk) -> None:
    with pytest.raises(UnknownConversation):
        talk.assistant.ask("made-up", "Hi")


def test_ids_of_conversations_cannot_be_guessed() -> None:
    ids = {Conversation().id for _ in range(100)}
    assert len(ids) == 100
    assert min(map(len, ids)) >= 20


def test_the_oldest_idle_conversations_are_forgotten_and_a_running_one_is_not(talk: Talk) -> None:
    talk.assistant.ask(talk.id, "Hi")
    idle = talk.assistant.new_conversation()
    for _ in range(MAX_CONVERSATIONS - 1):
        talk.assistant.new_conversation()
    assert talk.assistant.conversation(talk.id) is talk.conversation
    with pytest.raises(UnknownConversation):
        talk.assistant.conversation(idle.id)

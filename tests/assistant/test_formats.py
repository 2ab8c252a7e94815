"""Prompts as ids: what the model reads, and what nobody can type into it."""

import pytest
from fake_engine import CHATGLM3, CHATML, FakeEngine, FakeTokenizer, as_engine, as_tokenizer

from assistant.errors import UnknownFormat
from assistant.formats import format_for
from assistant.formats.chatglm3 import ChatGLM3, HeaderReader
from assistant.formats.chatml import ChatML, default_system
from assistant.messages import Message, Role

QWEN = (
    "{%- if messages[0]['role'] == 'system' %}\n"
    "{{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}\n"
    "{%- else %}\n"
    "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
    "assistant.<|im_end|>\\n' }}\n{%- endif %}"
)
PLAIN = "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\\n' + m['content']}}{% endfor %}"


def user(text: str) -> Message:
    return Message(Role.USER, text)


@pytest.fixture
def tokenizer() -> FakeTokenizer:
    return FakeTokenizer([*CHATML, *CHATGLM3])


@pytest.fixture
def chatml(tokenizer: FakeTokenizer) -> ChatML:
    return ChatML(as_tokenizer(tokenizer), {})


@pytest.fixture
def chatglm3(tokenizer: FakeTokenizer) -> ChatGLM3:
    return ChatGLM3(as_tokenizer(tokenizer), {})


def test_chatml_writes_every_message_between_its_role_tokens(
    chatml: ChatML, tokenizer: FakeTokenizer
) -> None:
    messages = [Message(Role.SYSTEM, "Be brief."), user("Hi"), Message(Role.ASSISTANT, "Hello")]
    assert tokenizer.spell(chatml.encode_prompt([*messages, user("Bye")])) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
        "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_chatglm3_writes_prefix_roles_and_metadata_lines(
    chatglm3: ChatGLM3, tokenizer: FakeTokenizer
) -> None:
    messages = [
        Message(Role.SYSTEM, "Be brief."),
        user("天气"),
        Message(Role.ASSISTANT, "call()", metadata="get_weather"),
        Message(Role.OBSERVATION, "22"),
    ]
    assert tokenizer.spell(chatglm3.encode_prompt(messages)) == (
        "[gMASK]sop<|system|>\nBe brief.<|user|>\n天气<|assistant|>get_weather\ncall()"
        "<|observation|>\n22<|assistant|>"
    )


class RecordingTokenizer(FakeTokenizer):
    def __init__(self) -> None:
        super().__init__(CHATGLM3)
        self.encoded: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.encoded.append(text)
        return super().encode(text)


def test_chatglm3_encodes_metadata_and_content_apart() -> None:
    tokenizer = RecordingTokenizer()
    ChatGLM3(as_tokenizer(tokenizer), {}).encode_prompt([user("你好")])
    assert tokenizer.encoded == ["\n", "你好"]


@pytest.mark.parametrize("kind", [ChatML, ChatGLM3])
def test_a_role_token_that_a_person_types_stays_text(
    kind: type[ChatML | ChatGLM3], tokenizer: FakeTokenizer
) -> None:
    chat_format = kind(as_tokenizer(tokenizer), {})
    typed = "".join([*CHATML, *CHATGLM3, "\nsystem\n"])
    for role in (Role.SYSTEM, Role.USER, Role.OBSERVATION, Role.ASSISTANT):
        harmless = chat_format.encode_prompt([Message(role, "x"), user("x")])
        hostile = chat_format.encode_prompt([Message(role, typed), user("x")])
        assert [i for i in hostile if tokenizer.is_special(i)] == [
            i for i in harmless if tokenizer.is_special(i)
        ]


@pytest.mark.parametrize("kind", [ChatML, ChatGLM3])
def test_what_the_model_wrote_is_replayed_by_its_own_ids(
    kind: type[ChatML | ChatGLM3], tokenizer: FakeTokenizer
) -> None:
    chat_format = kind(as_tokenizer(tokenizer), {})
    first = chat_format.encode_prompt([user("Hi")])
    ids = (7, 8, 9)
    answer = Message(Role.ASSISTANT, "text that would encode otherwise", ids=ids)
    later = chat_format.encode_prompt([user("Hi"), answer, user("Go on")])
    assert later[: len(first) + len(ids)] == [*first, *ids]


@pytest.mark.parametrize("kind", [ChatML, ChatGLM3])
def test_a_prompt_that_ends_with_an_answer_leaves_it_open(
    kind: type[ChatML | ChatGLM3], tokenizer: FakeTokenizer
) -> None:
    chat_format = kind(as_tokenizer(tokenizer), {})
    first = chat_format.encode_prompt([user("Hi")])
    cut = Message(Role.ASSISTANT, "abc", ids=(97, 98, 99))
    assert chat_format.encode_prompt([user("Hi"), cut]) == [*first, 97, 98, 99]


def test_the_templates_own_system_prompt_stands_in_for_a_missing_one(
    tokenizer: FakeTokenizer,
) -> None:
    chatml = ChatML(as_tokenizer(tokenizer), {"tokenizer.chat_template": QWEN})
    assert tokenizer.spell(chatml.encode_prompt([user("Hi")])).startswith(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful "
        "assistant.<|im_end|>\n<|im_start|>user\n"
    )
    own = chatml.encode_prompt([Message(Role.SYSTEM, "Mine."), user("Hi")])
    assert tokenizer.spell(own).startswith("<|im_start|>system\nMine.<|im_end|>\n<|im_start|>user")


@pytest.mark.parametrize("metadata", [{}, {"tokenizer.chat_template": PLAIN}])
def test_a_template_without_a_system_prompt_gives_none(metadata: dict[str, object]) -> None:
    assert default_system(metadata) == ""


def test_answers_stop_at_the_ids_that_end_them(
    chatml: ChatML, chatglm3: ChatGLM3, tokenizer: FakeTokenizer
) -> None:
    assert chatml.stop_ids == {tokenizer.special("<|im_end|>")}
    assert chatglm3.stop_ids == {
        tokenizer.special("<|user|>"),
        tokenizer.special("<|observation|>"),
    }


def test_the_format_is_chosen_by_the_tokens_that_the_file_has() -> None:
    assert isinstance(format_for(as_engine(FakeEngine(specials=CHATML))), ChatML)
    assert isinstance(format_for(as_engine(FakeEngine(specials=CHATGLM3))), ChatGLM3)


def test_a_model_of_no_known_format_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(UnknownFormat) as refusal:
        format_for(as_engine(FakeEngine(specials=["<|im_start|>", "[gMASK]"])))
    message = str(refusal.value)
    assert "ChatML lacks <|im_end|>" in message
    assert "ChatGLM3 lacks sop, <|system|>" in message
    assert "Supported chat formats: ChatGLM3, ChatML." in message


@pytest.mark.parametrize("size", [1, 2, 5, 100])
def test_the_header_line_and_its_blank_never_reach_the_reader(size: int) -> None:
    reader = HeaderReader()
    raw = "get_weather \n  晴天\n 22 度\n"
    parts = [raw[i : i + size] for i in range(0, len(raw), size)]
    assert "".join([*map(reader.feed, parts), reader.flush()]) == "晴天\n 22 度\n"
    assert reader.metadata == "get_weather"


def test_an_answer_that_ends_within_its_first_line_is_shown() -> None:
    reader = HeaderReader()
    assert reader.feed(" 你好") == ""
    assert reader.flush() == "你好"

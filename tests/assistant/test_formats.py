"""Prompts as ids: what the model reads, and what nobody can type into it."""

import pytest
from fake_engine import (
    CHATGLM2,
    CHATGLM3,
    CHATML,
    FakeEngine,
    FakeTokenizer,
    as_engine,
    as_tokenizer,
)

from assistant.calls import ToolCall
from assistant.errors import UnknownFormat
from assistant.formats import format_for
from assistant.formats.chatglm2 import ChatGLM2
from assistant.formats.chatglm3 import ChatGLM3
from assistant.formats.chatml import ChatML, default_system
from assistant.formats.glm4 import GLM4
from assistant.messages import Message, Role
from assistant.parse import Offer
from assistant.toolspec import ToolSpec

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
    glm4 = ["<sop>" if name == "sop" else name for name in CHATGLM3]
    assert isinstance(format_for(as_engine(FakeEngine(specials=glm4))), GLM4)
    assert isinstance(format_for(as_engine(FakeEngine(specials=CHATGLM2))), ChatGLM2)


def test_a_model_of_no_known_format_is_refused_with_what_it_lacks() -> None:
    with pytest.raises(UnknownFormat) as refusal:
        format_for(as_engine(FakeEngine(specials=["<|im_start|>", "[gMASK]"])))
    message = str(refusal.value)
    assert "ChatML lacks <|im_end|>" in message
    assert "ChatGLM3 lacks sop, <|system|>" in message
    assert "Supported chat formats: ChatGLM3, GLM-4, ChatML, ChatGLM2." in message


WEATHER = ToolSpec("get_weather", "天气", {"properties": {"city": {"type": "string"}}})


def test_chatml_tools_stand_in_the_system_message(tokenizer: FakeTokenizer) -> None:
    chatml = ChatML(as_tokenizer(tokenizer), {"tokenizer.chat_template": QWEN})
    prompt = tokenizer.spell(chatml.encode_prompt([user("Hi")], [WEATHER]))
    assert prompt.startswith(
        "<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant."
        "\n\n# Tools\n\n"
    )
    assert (
        '<tools>\n{"type": "function", "function": {"name": "get_weather", "description": "天气", '
        '"parameters": {"properties": {"city": {"type": "string"}}}}}\n</tools>\n'
    ) in prompt
    assert "within <tool_call></tool_call> XML tags:\n<tool_call>\n" in prompt
    assert prompt.endswith(
        "</tool_call><|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_chatml_tools_need_no_system_prompt(chatml: ChatML, tokenizer: FakeTokenizer) -> None:
    prompt = tokenizer.spell(chatml.encode_prompt([user("Hi")], [WEATHER]))
    assert prompt.startswith("<|im_start|>system\n# Tools\n")


def test_chatml_results_come_from_the_users_side(chatml: ChatML, tokenizer: FakeTokenizer) -> None:
    assert tokenizer.spell(chatml.encode_message(Message(Role.OBSERVATION, "22"))) == (
        "<|im_start|>user\n<tool_response>\n22\n</tool_response><|im_end|>\n"
    )


def test_glm4_describes_its_tools_as_its_published_template_does() -> None:
    tokenizer = FakeTokenizer([*CHATGLM3, "<sop>"])
    glm4 = GLM4(as_tokenizer(tokenizer), {})
    assert tokenizer.spell(glm4.encode_prompt([user("Hi")], [WEATHER, WEATHER])) == (
        "[gMASK]<sop><|system|>\n"
        "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱AI训练的语言模型 GLM-4 模型开发的，"
        "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
        + 2
        * (
            '\n\n## get_weather\n\n{\n    "name": "get_weather",\n    "description": "天气",\n'
            '    "parameters": {\n        "properties": {\n            "city": {\n'
            '                "type": "string"\n            }\n        }\n    }\n}\n'
            "在调用上述函数时，请使用 Json 格式表示调用的参数。"
        )
        + "<|user|>\nHi<|assistant|>"
    )


def test_glm4s_system_prompt_stands_behind_its_tools_in_a_message_of_its_own() -> None:
    tokenizer = FakeTokenizer([*CHATGLM3, "<sop>"])
    glm4 = GLM4(as_tokenizer(tokenizer), {})
    prompt = glm4.encode_prompt([Message(Role.SYSTEM, "Be brief."), user("Hi")], [WEATHER])
    assert tokenizer.spell(prompt).endswith(
        "请使用 Json 格式表示调用的参数。<|system|>\nBe brief.<|user|>\nHi<|assistant|>"
    )


@pytest.mark.parametrize("silent", [True, False])
def test_chatml_calls_are_read_whether_their_markers_have_text_or_not(silent: bool) -> None:
    class Vocabulary(FakeTokenizer):
        def is_special(self, token_id: int) -> bool:
            return silent and super().is_special(token_id)

    tokenizer = Vocabulary([*CHATML, "<tool_call>", "</tool_call>"])
    parser = ChatML(as_tokenizer(tokenizer), {}).parser(Offer(frozenset({"f"})))
    opening, closing = tokenizer.special("<tool_call>"), tokenizer.special("</tool_call>")
    assert opening is not None
    assert closing is not None
    events = [
        *parser.feed(opening, "" if silent else "<tool_call>"),
        *parser.feed(7, '{"name": "f"}'),
        *parser.feed(closing, "" if silent else "</tool_call>"),
    ]
    assert events[-1] == ToolCall("f", {}, '<tool_call>{"name": "f"}</tool_call>')

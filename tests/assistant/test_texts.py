"""What people read is there in both languages."""

import string
from typing import TypeVar

import pytest

from assistant import AssistantError, EngineError, Language, say
from assistant.texts import CHINESE_ERRORS, TEXTS, duration, size, text

Kind = TypeVar("Kind", bound=Exception)


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(template) if name}


def subclasses(kind: type[Kind]) -> list[type[Kind]]:
    return [each for child in kind.__subclasses__() for each in (child, *subclasses(child))]


ERRORS: dict[str, type[EngineError] | type[AssistantError]] = {}
ERRORS |= {kind.__name__: kind for kind in subclasses(EngineError)}
ERRORS |= {kind.__name__: kind for kind in subclasses(AssistantError)}


@pytest.mark.parametrize("key", TEXTS)
def test_both_languages_say_it_with_the_same_fields(key: str) -> None:
    chinese, english = TEXTS[key][Language.CHINESE], TEXTS[key][Language.ENGLISH]
    assert chinese
    assert english
    if key not in {"seconds", "minutes"}:
        assert fields(chinese) == fields(english)


def test_every_error_has_a_chinese_rendering_and_no_rendering_is_left_over() -> None:
    assert set(CHINESE_ERRORS) == set(ERRORS)


@pytest.mark.parametrize("name", CHINESE_ERRORS)
def test_a_chinese_error_carries_the_same_facts(name: str) -> None:
    template: str = ERRORS[name].template
    advice = {"remedy"}  # English words of the engine's; the Chinese text has its own
    assert fields(CHINESE_ERRORS[name]) == fields(template) - advice


@pytest.mark.parametrize("name", CHINESE_ERRORS)
def test_every_error_can_be_said_in_both_languages(name: str) -> None:
    error = ERRORS[name](**dict.fromkeys(fields(ERRORS[name].template), 7))
    assert isinstance(error, EngineError | AssistantError)
    assert say(error, Language.ENGLISH) == str(error)
    assert say(error, Language.CHINESE) != str(error)


@pytest.mark.parametrize(
    ("locale", "language"),
    [
        ("zh-CN", Language.CHINESE),
        ("zh_TW.UTF-8", Language.CHINESE),
        ("en-US", Language.ENGLISH),
        ("de", Language.ENGLISH),
        ("", Language.ENGLISH),
        (None, Language.ENGLISH),
    ],
)
def test_a_locale_gives_a_language(locale: str | None, language: Language) -> None:
    assert Language.of_locale(locale) is language


@pytest.mark.parametrize(
    ("n_bytes", "written"), [(0, "0 MB"), (512_300_000, "512 MB"), (1_117_320_768, "1.12 GB")]
)
def test_sizes_are_written_as_people_do(n_bytes: int, written: str) -> None:
    assert size(n_bytes) == written


@pytest.mark.parametrize(
    ("seconds", "written"), [(0.2, "1 s"), (9.4, "9 s"), (60, "1 min 0 s"), (125, "2 min 5 s")]
)
def test_durations_are_written_as_people_say_them(seconds: float, written: str) -> None:
    assert duration(seconds, Language.ENGLISH) == written


def test_an_unknown_text_is_our_mistake() -> None:
    with pytest.raises(KeyError):
        text(Language.ENGLISH, "no such text")

from dataclasses import replace
from typing import Any

import pytest

from assistant import ChatSettings
from engine import BadSetting


@pytest.mark.parametrize("name", ["temperature", "top_p", "repetition_penalty", "max_new_tokens"])
def test_a_setting_out_of_its_range_is_refused_by_name(name: str) -> None:
    change: dict[str, Any] = {name: -1}
    with pytest.raises(BadSetting, match=f"{name} is -1"):
        replace(ChatSettings(), **change)


def test_answers_are_1024_tokens_long_at_most_unless_set() -> None:
    assert ChatSettings().sampling(frozenset()).max_new_tokens == 1024

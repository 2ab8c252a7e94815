"""A random number, as in ChatGLM3's demo."""

import pytest

from tools import ToolError
from tools._interface import Interface
from tools.random_number import random_number_generator


def test_the_same_seed_gives_the_same_number_of_the_range() -> None:
    numbers = {random_number_generator(seed, (3, 6)) for seed in range(100)}
    assert numbers == {3, 4, 5}
    assert random_number_generator(7, (0, 10**9)) == random_number_generator(7, (0, 10**9))


@pytest.mark.parametrize("around", [(6, 1), (3, 3)])
def test_an_empty_range_is_told(around: tuple[int, int]) -> None:
    with pytest.raises(ToolError, match="its first number must be below its second"):
        random_number_generator(1, around)


def test_it_takes_what_chatglm3_writes() -> None:
    bound = Interface(random_number_generator).bind({"seed": "42", "range": ["0", 100]})
    assert bound == {"seed": 42, "range": (0, 100)}

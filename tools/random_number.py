"""A random number, as in ChatGLM3's demo."""

import random
from typing import Annotated

from tools import Example, ToolError, tool


@tool(effects="none", examples=[Example({"seed": 7, "range": [1, 6]}, lambda n: 1 <= n <= 6)])
def random_number_generator(
    seed: Annotated[int, "The random seed used by the generator", True],
    range: Annotated[tuple[int, int], "The range of the generated numbers", True],  # noqa: A002
) -> int:
    """Generates a random number x, s.t. range[0] <= x < range[1]"""
    first, end = range
    if first >= end:
        raise ToolError(f"range is [{first}, {end}]; its first number must be below its second.")
    return random.Random(seed).randint(first, end - 1)

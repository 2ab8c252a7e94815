"""What an author says about a tool."""

from collections.abc import Callable
from typing import cast

import pytest

from tools import tool
from tools._declaration import AuthorError, Effects, declared_in


def test_a_marked_function_stays_a_plain_function() -> None:
    @tool
    def twice(n: int) -> int:
        return 2 * n

    @tool(effects="none")
    def thrice(n: int) -> int:
        return 3 * n

    assert (twice(2), thrice(2)) == (4, 6)
    assert [each.name for each in declared_in(__name__)][-2:] == ["twice", "thrice"]


def test_what_is_not_said_is_asked_about() -> None:
    @tool
    def quiet() -> None: ...

    declared = declared_in(__name__)[-1]
    assert (declared.effects, declared.time_limit, declared.result_limit) == ("write", 30, 4000)
    assert (declared.examples, declared.secrets) == ((), ())


def test_a_tool_belongs_to_the_file_that_defines_it() -> None:
    assert declared_in("some.other.module") == []


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        (lambda: tool(effects=cast("Effects", "all")), "effects is 'all'"),
        (lambda: tool(time_limit=0), "time_limit is 0"),
        (lambda: tool(time_limit=10_000), "time_limit is 10000"),
        (lambda: tool(result_limit=0), "result_limit is 0"),
        (lambda: tool(result_limit=10**9), "result_limit is 1000000000"),
    ],
)
def test_an_option_out_of_range_is_the_authors_mistake(
    mark: Callable[[], Callable[[object], object]], said: str
) -> None:
    def f() -> None: ...

    with pytest.raises(AuthorError, match=said):
        mark()(f)


def test_only_a_named_function_can_be_marked() -> None:
    with pytest.raises(AuthorError, match="marks a function with a name"):
        tool(lambda: None)

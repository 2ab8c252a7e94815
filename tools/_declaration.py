"""What an author says about a tool: the function, what it does to the world, its limits."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar, get_args, overload

Effects = Literal["none", "read", "write", "network"]
Function = TypeVar("Function", bound=Callable[..., object])

MAX_TIME = 600.0  # seconds
MAX_RESULT = 100_000  # characters

_declared: "list[Declaration]" = []


class AuthorError(Exception):
    """A tool that cannot be offered as it is written; the message says what to change."""


class ToolError(Exception):
    """Raised by a tool to say what went wrong; the model reads the message and nothing else."""


@dataclass(frozen=True)
class Example:
    """Arguments, and the result they must give or a function that says whether it is right."""

    arguments: Mapping[str, object]
    expected: object


@dataclass(frozen=True)
class Declaration:
    """A function and what its author said about it."""

    function: Callable[..., object]
    effects: Effects
    time_limit: float  # seconds for one call
    result_limit: int  # characters of a result that a model reads
    examples: tuple[Example, ...]
    secrets: tuple[str, ...]  # without these it is not offered

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", "")

    def __post_init__(self) -> None:
        """Refuses what the host would not take."""
        if not callable(self.function) or not self.name.isidentifier():
            raise AuthorError(f"@tool marks a function with a name, not {self.function!r}")
        if self.effects not in get_args(Effects):
            raise AuthorError(f"effects is {self.effects!r}; write one of {get_args(Effects)}")
        if not 0 < self.time_limit <= MAX_TIME:
            raise AuthorError(f"time_limit is {self.time_limit}; write 0 to {MAX_TIME:.0f} seconds")
        if not 0 < self.result_limit <= MAX_RESULT:
            raise AuthorError(
                f"result_limit is {self.result_limit}; write 1 to {MAX_RESULT} characters"
            )


@overload
def tool(function: Function, /) -> Function: ...


@overload
def tool(
    *,
    effects: Effects = ...,
    time_limit: float = ...,
    result_limit: int = ...,
    examples: Sequence[Example] = ...,
    secrets: Sequence[str] = ...,
) -> Callable[[Function], Function]: ...


def tool(
    function: Function | None = None,
    /,
    *,
    effects: Effects = "write",  # what is not declared is asked about
    time_limit: float = 30.0,
    result_limit: int = 4000,
    examples: Sequence[Example] = (),
    secrets: Sequence[str] = (),
) -> Function | Callable[[Function], Function]:
    """Marks a function as a tool and leaves it as it is."""

    def mark(function: Function) -> Function:
        limits = (effects, time_limit, result_limit)
        _declared.append(Declaration(function, *limits, tuple(examples), tuple(secrets)))
        return function

    return mark if function is None else mark(function)


def declared_in(module: str) -> list[Declaration]:
    """The tools that a module itself defines, not those it imports."""
    return [each for each in _declared if each.function.__module__ == module]

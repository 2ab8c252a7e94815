"""The arguments of a call that a model wrote, read as literals. Nothing is ever evaluated.

The text between the call's brackets is cut into tokens and each is held against what may stand
at its place; only then does `ast` read a value, and only literals are taken from what it reads.
Mended on the way: full-width punctuation outside strings, curly quotes, JSON's true, false and
null, a backslash that escapes nothing, a line break within a string.

Time and memory are bounded by MAX_LENGTH and MAX_DEPTH, whatever the text says.
"""

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

Value = str | int | float | bool | None | list["Value"] | tuple["Value", ...] | dict["Key", "Value"]
Key = str | int | float | bool | None

MAX_LENGTH = 200_000  # characters of one call
MAX_DEPTH = 32  # brackets within brackets
MAX_NUMBER = 64  # characters of one number

_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<string>[rRuU]?(?:"
    r'"""(?:[^\\]|\\.)*?"""|' + r"'''(?:[^\\]|\\.)*?'''|"
    r'"(?:[^"\\]|\\.)*"|' + r"'(?:[^'\\]|\\.)*'|"
    r"[“”](?:[^“”\\]|\\.)*[“”]|[‘’](?:[^‘’\\]|\\.)*[‘’]))"
    r"|(?P<number>[+-]?\.?[0-9](?:[eE][+-]|[\w.])*)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<mark>[()\[\]{},=:（）［］｛｝【】，、＝：])",
    re.DOTALL,
)
_NUMBER = re.compile(r"[+-]?(?:0[xob][0-9a-f_]+|[0-9_]*\.?[0-9_]*(?:e[+-]?[0-9]+)?)", re.I)
_ASCII = str.maketrans("（）［］｛｝【】，、＝：", "()[]{}[],,=:")
_CONSTANTS = {name: name for name in ("True", "False", "None")}
_CONSTANTS |= {"true": "True", "false": "False", "null": "None"}
_CLOSES = {"(": ")", "[": "]", "{": "}"}
_ESCAPE = (
    r"\\(?:[\\'\"abfnrtv\n]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})"
)
_UNSAFE = re.compile(rf"(?P<escape>{_ESCAPE})|[\\\"\n\r\0\ud800-\udfff]")


class NotLiteral(Exception):
    """The text cannot be taken as arguments; the message says what was found and what to write."""


@dataclass(frozen=True)
class Token:
    kind: str
    text: str  # in ASCII punctuation, as Python spells it


def read_arguments(text: str) -> dict[str, Value]:
    """The arguments in `text`, which begins behind the call's opening bracket.

    Whatever follows the closing bracket is not looked at.
    """
    arguments: dict[str, Value] = {}
    tokens = _tokens(text[:MAX_LENGTH])
    token = _next(tokens)
    while token.text != ")":
        name = token.text
        if token.kind != "name" or _next(tokens).text != "=":
            raise NotLiteral(
                f"{_short(name)} is given without a name; write every argument as name=value"
            )
        if name in arguments:
            raise NotLiteral(f"{_short(name)} is given twice")
        source, end = _collect(tokens)
        arguments[name] = read_value(source)
        token = end if end.text == ")" else _next(tokens)
    return arguments


def read_literal(text: str) -> Value:
    """The one literal that `text` begins with, a dict or a list."""
    tokens = _tokens(text[:MAX_LENGTH])
    first = _next(tokens)
    if first.text not in ("{", "["):
        raise NotLiteral(f"expected a dictionary, found {_short(first.text)}")
    return read_value(_collect(tokens, first)[0])


def read_value(source: str) -> Value:
    """A literal in Python's own spelling."""
    try:
        return _value(ast.parse(source, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError) as error:
        raise NotLiteral(f"{_short(source)} is not a literal value") from error


def as_literal(value: object, depth: int = MAX_DEPTH) -> Value:
    """What JSON has read, held to the same bounds."""
    if depth < 0:
        raise NotLiteral(f"brackets are nested more than {MAX_DEPTH} deep")
    match value:
        case str():
            return _whole(value)
        case float() if not math.isfinite(value):
            raise NotLiteral("a number is too large")
        case bool() | int() | float() | None:
            return value
        case list():
            return [as_literal(item, depth - 1) for item in value]
        case dict():
            return {_whole(key): as_literal(item, depth - 1) for key, item in value.items()}
    raise AssertionError(type(value))  # JSON has no other values


def _collect(tokens: Iterator[Token], first: Token | None = None) -> tuple[str, Token]:
    """One value's source, and the comma or bracket behind it."""
    parts: list[str] = []
    open_brackets: list[str] = []
    previous = Token("mark", ",")
    token = first or _next(tokens)
    while open_brackets or token.text not in (",", ")"):
        _check_place(token, previous)
        if token.text in _CLOSES:
            open_brackets.append(_CLOSES[token.text])
        elif token.text in _CLOSES.values() and (
            not open_brackets or open_brackets.pop() != token.text
        ):
            raise NotLiteral(f"the bracket {token.text!r} closes nothing")
        if len(open_brackets) > MAX_DEPTH:
            raise NotLiteral(f"brackets are nested more than {MAX_DEPTH} deep")
        parts.append(_CONSTANTS[token.text] if token.kind == "name" else token.text)
        if first is not None and not open_brackets:
            return " ".join(parts), token
        previous, token = token, _next(tokens)
    if not parts:
        raise NotLiteral("an argument has no value")
    return " ".join(parts), token


def _check_place(token: Token, previous: Token) -> None:
    """Keeps operators and calls out: a value stands behind a bracket, a comma or a colon."""
    behind_value = previous.kind != "mark" or previous.text in _CLOSES.values()
    if token.kind == "name" and token.text not in _CONSTANTS:
        raise NotLiteral(
            f"{_short(token.text)} is not a literal value; write values out, text in quotes"
        )
    both_strings = token.kind == previous.kind == "string"
    opens = token.kind != "mark" or token.text in _CLOSES
    if (behind_value and opens and not both_strings) or token.text == "=":
        raise NotLiteral(
            f"{_short(token.text)} cannot stand behind {_short(previous.text)}; "
            "only literal values are read, nothing is calculated or called"
        )


def _next(tokens: Iterator[Token]) -> Token:
    token = next(tokens, None)
    if token is None:
        raise NotLiteral("the call is not closed; end it with a bracket")
    return token


def _tokens(text: str) -> Iterator[Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise NotLiteral(f"{_short(text[at:])} is not a literal value")
        at = found.end()
        kind = found.lastgroup
        assert kind is not None
        if kind == "string":
            yield Token(kind, _python_string(found[0]))
        elif kind == "number":
            yield Token(kind, _python_number(found[0]))
        elif kind != "blank":
            yield Token(kind, found[0].translate(_ASCII) if kind == "mark" else found[0])


def _python_number(text: str) -> str:
    if len(text) > MAX_NUMBER:
        raise NotLiteral(f"a number has {len(text)} characters; at most {MAX_NUMBER} are read")
    if not _NUMBER.fullmatch(text):
        raise NotLiteral(f"{_short(text)} is not a number")
    return text


def _python_string(text: str) -> str:
    """A string of any quotes as one that `ast` takes without an error or a warning."""
    prefix = text[0] if text[0] in "rRuU" else ""
    quotes = 3 if text[len(prefix) :].startswith(('"""', "'''")) else 1
    body = text[len(prefix) + quotes : -quotes]
    if prefix in ("r", "R"):
        return ascii(body)
    return f'"{_UNSAFE.sub(_safe, body)}"'


def _safe(found: re.Match[str]) -> str:
    if found["escape"]:
        return found[0]
    return "\\" + found[0] if found[0] in '\\"' else f"\\u{ord(found[0]):04x}"


def _value(node: ast.expr) -> Value:
    match node:
        case ast.Constant(value=str() as text):
            return _whole(text)
        case ast.Constant(value=bool() | int() | None as value):
            return value
        case ast.Constant(value=float() as number) if math.isfinite(number):
            return number
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            size = _value(operand)
            assert isinstance(size, int | float)  # a token has a sign before digits only
            return -size if isinstance(sign, ast.USub) else size
        case ast.List(elts=items):
            return [_value(item) for item in items]
        case ast.Tuple(elts=items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys=keys, values=values):
            pairs = zip(keys, values, strict=True)
            return {_key(key): _value(value) for key, value in pairs}
    raise ValueError("not a literal")


def _key(node: ast.expr | None) -> Key:
    key = None if node is None else _value(node)
    if node is None or not isinstance(key, str | int | float | None):
        raise ValueError("not a key")
    return key


def _whole(text: str) -> str:
    """Two escapes may spell one character; half of one alone cannot be written anywhere."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _short(text: str) -> str:
    """The beginning of what was found, to be quoted."""
    line = " ".join(text[:60].split())
    return repr(line if len(line) <= 40 else line[:40] + "…")

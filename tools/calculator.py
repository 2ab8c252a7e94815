"""Arithmetic. The expression is read as a tree of numbers and operators, and never evaluated."""

import ast
import math
import operator as op
from collections.abc import Callable

from tools import Example, ToolError, tool

MAX_LENGTH = 500  # characters of an expression
MAX_BITS = 4096  # of a whole number on the way

_ASCII = str.maketrans("（）×÷－＋，．０１２３４５６７８９", "()*/-+,.0123456789")
_SIGNS: dict[type, Callable[..., float]] = {
    ast.Add: op.add, ast.Sub: op.sub, ast.Mult: op.mul, ast.Div: op.truediv, ast.Mod: op.mod,
    ast.FloorDiv: op.floordiv, ast.Pow: op.pow, ast.USub: op.neg, ast.UAdd: op.pos,
}  # fmt: skip
_NAMES = "sqrt,exp,log,log2,log10,sin,cos,tan,asin,acos,atan,degrees,radians,floor,ceil"
_FUNCTIONS: dict[str, Callable[..., float]] = {
    name: getattr(math, name) for name in _NAMES.split(",")
}
_FUNCTIONS |= {"abs": abs, "round": round, "min": min, "max": max}


@tool(
    effects="none",
    time_limit=5,
    examples=[
        Example({"expression": "2 + 3 * 4"}, 14),
        Example({"expression": "（1＋2）×3^2"}, 27),
        Example({"expression": "sqrt(2) * sin(pi / 4)"}, lambda found: abs(found - 1) < 1e-9),
    ],
)
def calculator(expression: str) -> float:
    """Works out an arithmetic expression. 计算算术表达式。

    Args:
        expression: Such as (12.5 + 3) * 2 ** 8, or sqrt(2) * sin(pi / 4)
    """
    text = expression.translate(_ASCII).replace("^", "**").strip()
    if len(text) > MAX_LENGTH:
        raise ToolError(f"The expression has {len(text)} characters; at most {MAX_LENGTH}.")
    try:
        return _value(ast.parse(text, mode="eval").body)
    except (SyntaxError, ValueError, TypeError, ArithmeticError, RecursionError) as error:
        raise ToolError(f"{expression!r} cannot be worked out: {error}.") from error


def _value(node: ast.expr) -> float:
    match node:
        case ast.Constant(int() | float() as number) if not isinstance(number, bool):
            return _bounded(number)
        case ast.Name("pi" | "e" as name):
            return float(getattr(math, name))
        case ast.UnaryOp(sign, operand) if type(sign) in _SIGNS:
            return _SIGNS[type(sign)](_value(operand))
        case ast.BinOp(left, sign, right) if type(sign) in _SIGNS:
            return _binary(sign, _value(left), _value(right))
        case ast.Call(ast.Name(name), arguments, []) if name in _FUNCTIONS:
            return _bounded(_FUNCTIONS[name](*map(_value, arguments)))
    raise ValueError(f"{ast.unparse(node)[:40]} is no number, operator or known function")


def _binary(sign: ast.operator, left: float, right: float) -> float:
    bits = abs(right) * left.bit_length() if isinstance(left, int) else 0
    if isinstance(sign, ast.Pow) and bits > MAX_BITS:
        raise ValueError("the power is too large")
    return _bounded(_SIGNS[type(sign)](left, right))


def _bounded(number: float) -> float:
    if isinstance(number, complex) or (isinstance(number, int) and number.bit_length() > MAX_BITS):
        raise ValueError("a number on the way is not real, or too large")
    return number

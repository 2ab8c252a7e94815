"""Numbers within bounds: the expression matches what lies within them, and nothing else."""

import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.grammar_numbers import MOST, decimals, integers, number
from assistant.grammar_reading import Unsupported

SMALL = st.integers(-3000, 3000)
PLACES = st.integers(-400, 400).map(lambda cents: Decimal(cents) / 100)


@given(SMALL, SMALL, SMALL)
def test_an_integer_matches_just_when_it_is_within_the_bounds(a: int, b: int, n: int) -> None:
    low, high = min(a, b), max(a, b)
    assert bool(re.fullmatch(integers(low, high), str(n))) == (low <= n <= high)


@given(PLACES, PLACES, st.booleans(), st.booleans(), st.decimals(-4, 4, places=3))
def test_no_decimal_outside_of_the_bounds_matches(
    a: Decimal, b: Decimal, above: bool, below: bool, n: Decimal
) -> None:
    low, high = min(a, b), max(a, b)
    try:
        pattern = decimals(low, high, above=above, below=below)
    except Unsupported:
        assert low == high
        return
    inside = (low < n if above else low <= n) and (n < high if below else n <= high)
    assert inside or not re.fullmatch(pattern, str(n))
    assert not inside or n in (low, high) or n == 0 or re.fullmatch(pattern, str(n))


@pytest.mark.parametrize("text", ["007", "-0", "+1", "1.0", "1e3", "", "1" * 16])
def test_an_integer_has_one_spelling(text: str) -> None:
    assert not re.fullmatch(integers(-MOST * 2, MOST * 2), text)


@pytest.mark.parametrize("text", ["0", "-1.5", "3.25e-7", "12E9"])
def test_a_number_without_bounds_may_have_an_exponent(text: str) -> None:
    assert re.fullmatch(number({}, whole=False), text)


def test_bounds_that_leave_nothing_are_refused() -> None:
    for schema in ({"minimum": 3, "maximum": 2}, {"exclusiveMinimum": 1, "exclusiveMaximum": 2}):
        with pytest.raises(Unsupported):
            number(schema, whole=True)


def test_the_narrower_of_two_bounds_counts() -> None:
    pattern = number({"minimum": 2, "exclusiveMinimum": 1, "maximum": 5}, whole=True)
    assert [n for n in range(9) if re.fullmatch(pattern, str(n))] == [2, 3, 4, 5]

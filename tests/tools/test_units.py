"""Units of measure."""

import pytest

from tools import ToolError
from tools.units import convert_units


@pytest.mark.parametrize(
    ("value", "before", "after", "told"),
    [
        (1, "mile", "公里", "1 mile = 1.609344 公里"),
        (12.5, "miles", "km", "12.5 miles = 20.1168 km"),
        (5, "inches", "cm", "5 inches = 12.7 cm"),
        (3, "斤", "kg", "3 斤 = 1.5 kg"),
        (1, "亩", "m2", "1 亩 = 666.6666667 m2"),
        (100, "km/h", "m/s", "100 km/h = 27.77777778 m/s"),
        (1, "GiB", "MB", "1 GiB = 1073.741824 MB"),
        (2, "度", "kJ", "2 度 = 7200 kJ"),
        (1, "Day", "hours", "1 Day = 24 hours"),
        (100, "°C", "°F", "100 °C = 212 °F"),
        (-40, "华氏度", "摄氏度", "-40 华氏度 = -40 摄氏度"),
        (0, "K", "celsius", "0 K = -273.15 celsius"),
    ],
)
def test_a_value_is_converted(value: float, before: str, after: str, told: str) -> None:
    assert convert_units(value, before, after) == told


def test_units_of_two_quantities_are_not_mixed() -> None:
    with pytest.raises(ToolError, match="kg and km do not measure the same"):
        convert_units(1, "kg", "km")


@pytest.mark.parametrize("unit", ["USD", "", "parsec"])
def test_an_unknown_unit_is_told_with_the_known_ones(unit: str) -> None:
    with pytest.raises(ToolError, match=r"not known\. Known are: m, metre"):
        convert_units(1, unit, "m")

"""Units of measure, those of Chinese markets too. No currencies: their rates change."""

from typing import Annotated

from tools import Example, ToolError, tool

# A line is a quantity: each unit's names, its size in the first one, and for some where 0 lies.
_TABLE = """
m metre meter 米=1, mm 毫米=0.001, cm 厘米=0.01, km kilometre kilometer 公里 千米=1000, 里=500, \
尺=1/3, 寸=1/30, in inch 英寸=0.0254, ft foot feet 英尺=0.3048, yd yard 码=0.9144, \
mi mile 英里=1609.344, nmi 海里=1852
kg kilogram 公斤 千克=1, g gram 克=0.001, mg 毫克=0.000001, t tonne 吨=1000, 斤 市斤=0.5, 两=0.05, \
lb pound 磅=0.45359237, oz ounce 盎司=0.028349523125
m2 m² 平方米=1, km2 km² 平方公里=1000000, ha hectare 公顷=10000, 亩=2000/3, \
acre 英亩=4046.8564224, ft2 ft² 平方英尺=0.09290304
l litre liter 升=1, ml 毫升=0.001, m3 m³ 立方米=1000, gal gallon 加仑=3.785411784, \
cup 杯=0.2365882365
m/s 米每秒=1, km/h kmh 公里每小时=1/3.6, mph 英里每小时=0.44704, kn knot 节=1852/3600
s second 秒=1, min minute 分钟=60, h hour 小时=3600, d day 天=86400, week 周 星期=604800
b byte 字节=1, kb=1000, mb=1000000, gb=1000000000, tb=1000000000000, kib=1024, mib=1048576, \
gib=1073741824, bit 比特=1/8
j joule 焦耳=1, kj 千焦=1000, cal 卡=4.184, kcal 千卡 大卡=4184, kwh 度 千瓦时=3600000
k kelvin 开尔文=1, c °c celsius 摄氏度 度c=1=273.15, f °f fahrenheit 华氏度=5/9=255.372222222222
"""


@tool(
    effects="none",
    examples=[
        Example({"value": 3, "from_unit": "斤", "to_unit": "kg"}, "3 斤 = 1.5 kg"),
        Example({"value": 212, "from_unit": "°F", "to_unit": "摄氏度"}, "212 °F = 100 摄氏度"),
    ],
)
def convert_units(
    value: float,
    from_unit: Annotated[str, "Such as km, 公里, lb, 斤, °F"],
    to_unit: Annotated[str, "Such as mile, 英里, kg, 亩, °C"],
) -> str:
    """Converts length, weight, area, volume, speed, time, data, energy, temperature. 单位换算。"""
    (kind, size, zero), (other, other_size, other_zero) = _find(from_unit), _find(to_unit)
    if kind != other:
        raise ToolError(f"{from_unit} and {to_unit} do not measure the same.")
    result = (value * size + zero - other_zero) / other_size
    return f"{value:.10g} {from_unit} = {result:.10g} {to_unit}"


def _find(unit: str) -> tuple[int, float, float]:
    """The number of the unit's quantity, its size and its zero."""
    name = unit.strip().lower()
    units = _units()
    found = units.get(name) or units.get(name.removesuffix("s")) or units.get(name[:-2])
    if found is None:
        raise ToolError(f"The unit {unit!r} is not known. Known are: {', '.join(units)}.")
    return found


def _units() -> dict[str, tuple[int, float, float]]:
    found: dict[str, tuple[int, float, float]] = {}
    for quantity, line in enumerate(_TABLE.strip().splitlines()):
        for entry in line.split(","):
            names, size, *zero = entry.split("=")
            above, _, below = size.partition("/")
            size_and_zero = float(above) / float(below or 1), float(zero[0]) if zero else 0.0
            found |= dict.fromkeys(names.split(), (quantity, *size_and_zero))
    return found

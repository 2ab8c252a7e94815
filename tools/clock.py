"""Date and time, here and elsewhere."""

from datetime import datetime
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tools import Example, ToolError, tool

_CITIES = {
    "北京": "Asia/Shanghai", "上海": "Asia/Shanghai", "Beijing": "Asia/Shanghai",
    "香港": "Asia/Hong_Kong", "台北": "Asia/Taipei", "东京": "Asia/Tokyo", "首尔": "Asia/Seoul",
    "新加坡": "Asia/Singapore", "迪拜": "Asia/Dubai", "莫斯科": "Europe/Moscow",
    "伦敦": "Europe/London", "巴黎": "Europe/Paris", "柏林": "Europe/Berlin",
    "纽约": "America/New_York", "洛杉矶": "America/Los_Angeles", "悉尼": "Australia/Sydney",
}  # fmt: skip
_AREAS = ("", "Asia/", "Europe/", "America/", "Africa/", "Australia/", "Pacific/")
Zone = Annotated[str, "A zone such as Asia/Shanghai or UTC, or a large city such as 北京 or Tokyo"]


@tool(effects="none", examples=[Example({"time_zone": "北京"}, lambda r: r["utc"] == "+08:00")])
def current_time(time_zone: Zone = "") -> dict[str, str]:
    """Tells the date, weekday and time, here or in another time zone. 现在的日期、星期和时间。"""
    return _described(datetime.now(_zone(time_zone)) if time_zone else datetime.now().astimezone())


@tool(
    effects="none",
    examples=[
        Example(
            {"time": "2026-07-01 09:30", "from_zone": "北京", "to_zone": "New York"},
            lambda r: (r["date"], r["time"]) == ("2026-06-30", "21:30:00"),
        )
    ],
)
def convert_time(
    time: Annotated[str, "Such as 2026-07-01 09:30"], from_zone: Zone, to_zone: Zone
) -> dict[str, str]:
    """Converts a date and time from one time zone to another. 时区换算。"""
    try:
        moment = datetime.fromisoformat(time).replace(tzinfo=_zone(from_zone))
        return _described(moment.astimezone(_zone(to_zone)))
    except (ValueError, OverflowError) as error:
        raise ToolError(f"time is {time!r}; write it as 2026-07-01 09:30.") from error


def _zone(name: str) -> ZoneInfo:
    known = _CITIES.get(name.strip(), name.strip()).replace(" ", "_")
    for area in _AREAS:
        try:
            return ZoneInfo(area + known)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
    raise ToolError(f"There is no time zone {name!r}; write one such as Asia/Shanghai.")


def _described(moment: datetime) -> dict[str, str]:
    return {
        "date": f"{moment:%Y-%m-%d}",
        "weekday": f"{moment:%A} 星期{'一二三四五六日'[moment.weekday()]}",
        "time": f"{moment:%H:%M:%S}",
        "utc": moment.isoformat()[-6:],
        "zone": str(moment.tzinfo),
    }

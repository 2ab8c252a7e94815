"""Date and time."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tools import ToolError
from tools.clock import convert_time, current_time


def test_the_time_is_that_of_the_zone() -> None:
    before = datetime.now(ZoneInfo("Asia/Tokyo")).replace(microsecond=0)
    told = current_time("东京")
    after = datetime.now(ZoneInfo("Asia/Tokyo"))
    moment = datetime.fromisoformat(f"{told['date']}T{told['time']}{told['utc']}")
    assert before <= moment <= after
    assert told["zone"] == "Asia/Tokyo"
    assert f"{moment:%A}" in told["weekday"]


def test_without_a_zone_it_is_the_machines_own() -> None:
    told = current_time()
    assert told["utc"] == datetime.now().astimezone().isoformat()[-6:]


@pytest.mark.parametrize("zone", ["Asia/Shanghai", "北京", "Beijing", " Shanghai "])
def test_a_zone_has_several_names(zone: str) -> None:
    assert current_time(zone)["utc"] == "+08:00"


def test_a_time_is_converted_with_its_weekday() -> None:
    told = convert_time("2026-01-01 07:00", "UTC", "New York")
    assert (told["date"], told["time"], told["utc"]) == ("2026-01-01", "02:00:00", "-05:00")
    assert told["weekday"] == "Thursday 星期四"


@pytest.mark.parametrize("zone", ["Atlantis", "", "../../etc/passwd", "/etc/passwd", "\0"])
def test_an_unknown_zone_is_told(zone: str) -> None:
    with pytest.raises(ToolError, match="There is no time zone"):
        convert_time("2026-01-01 07:00", zone, "UTC")


@pytest.mark.parametrize("time", ["tomorrow", "", "9999-12-31 23:59"])
def test_a_time_that_cannot_be_read_is_told(time: str) -> None:
    with pytest.raises(ToolError, match="write it as 2026-07-01 09:30"):
        convert_time(time, "UTC", "Asia/Tokyo")

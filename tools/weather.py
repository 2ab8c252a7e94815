"""Today's weather from Open-Meteo, which asks for no key."""

import os
from typing import Annotated, Any

import httpx2

from tools import ToolError, tool

_GEOCODING = "https://geocoding-api.open-meteo.com"
_FORECAST = "https://api.open-meteo.com"
_CURRENT = (
    "temperature_2m,apparent_temperature,relative_humidity_2m,precipitation,wind_speed_10m,"
    "weather_code"
)
_SKY = {  # WMO's codes
    0: "clear 晴", 1: "mainly clear 晴间多云", 2: "partly cloudy 多云", 3: "overcast 阴",
    45: "fog 雾", 48: "rime fog 雾凇", 51: "light drizzle 毛毛雨", 53: "drizzle 毛毛雨",
    55: "heavy drizzle 毛毛雨", 56: "freezing drizzle 冻雨", 57: "freezing drizzle 冻雨",
    61: "light rain 小雨", 63: "rain 中雨", 65: "heavy rain 大雨", 66: "freezing rain 冻雨",
    67: "freezing rain 冻雨", 71: "light snow 小雪", 73: "snow 中雪", 75: "heavy snow 大雪",
    77: "snow grains 米雪", 80: "light showers 阵雨", 81: "showers 阵雨",
    82: "violent showers 暴雨", 85: "snow showers 阵雪", 86: "snow showers 阵雪",
    95: "thunderstorm 雷暴", 96: "hail 冰雹", 99: "hail 冰雹",
}  # fmt: skip


@tool(effects="network", time_limit=20)
def get_weather(
    city_name: Annotated[str, "The name of the city to be queried", True],
) -> dict[str, object]:
    """Get the current weather for `city_name`"""
    base = os.environ.get("WEATHER_URL", "")
    language = "en" if city_name.isascii() else "zh"
    query = {"name": city_name.strip().removesuffix("市"), "count": 1, "language": language}
    places = _get(base or _GEOCODING, "/v1/search", query).get("results")
    if not places:
        raise ToolError(f"There is no city {city_name!r} in the weather service. Check its name.")
    place = places[0]
    where = {"latitude": place["latitude"], "longitude": place["longitude"]}
    query = {**where, "current": _CURRENT, "timezone": "auto"}
    now = _get(base or _FORECAST, "/v1/forecast", query)["current"]
    return {
        "city": place.get("name"),
        "country": place.get("country"),
        "weather": _SKY.get(now["weather_code"], "unknown"),
        "temperature_c": now["temperature_2m"],
        "feels_like_c": now["apparent_temperature"],
        "humidity_percent": now["relative_humidity_2m"],
        "precipitation_mm": now["precipitation"],
        "wind_km_h": now["wind_speed_10m"],
        "observed_at": now["time"],
    }


def _get(base: str, path: str, query: dict[str, Any]) -> dict[str, Any]:
    try:
        response = httpx2.get(base.rstrip("/") + path, params=query, timeout=6)
        found: dict[str, Any] = response.raise_for_status().json()
    except httpx2.HTTPStatusError as error:
        raise ToolError(f"The weather service answered {error.response.status_code}.") from error
    except (httpx2.HTTPError, ValueError) as error:
        raise ToolError(
            f"The weather service cannot be reached, perhaps there is no network: {error}."
        ) from error
    return found

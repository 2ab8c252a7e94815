"""The weather, against a loopback stand-in."""

import socket

import pytest
from weather_service import TEMPERATURE, weather_service

from tools import ToolError
from tools.weather import get_weather


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.mark.parametrize("city", ["北京", "北京市", "Beijing"])
def test_the_weather_of_a_city_is_told(city: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with weather_service() as url:
        monkeypatch.setenv("WEATHER_URL", url)
        told = get_weather(city)
    assert told["temperature_c"] == TEMPERATURE
    assert (told["city"], told["weather"]) == ("北京市", "light snow 小雪")


def test_an_unknown_city_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with weather_service() as url:
        monkeypatch.setenv("WEATHER_URL", url)
        with pytest.raises(ToolError, match="no city 'Atlantis'"):
            get_weather("Atlantis")


def test_without_a_network_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("WEATHER_URL", f"http://127.0.0.1:{port}")
    with pytest.raises(ToolError, match="cannot be reached, perhaps there is no network"):
        get_weather("北京")

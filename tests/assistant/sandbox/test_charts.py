"""Figures are rebuilt from keys that are known; nothing in them can fetch."""

import json
from typing import Any

import pytest

from assistant.outputs import ChartOutput
from assistant.sandbox.charts import chart


def plotly(**trace: object) -> dict[str, object]:
    return {"data": [{"type": "bar", "x": [1], "y": [2], **trace}], "layout": {"title": "T"}}


def vega(**more: object) -> dict[str, object]:
    rows = [{"月份": "一月", "sum": 3}]
    encoding = {"x": {"field": "月份", "type": "nominal"}, "y": {"field": "sum"}}
    return {"data": {"values": rows}, "mark": "bar", "encoding": encoding, **more}


def test_a_plain_figure_comes_through_whole() -> None:
    assert chart("plotly", plotly()) == ChartOutput("plotly", plotly())
    assert chart("vega-lite", vega()) == ChartOutput("vega-lite", vega())


def test_numbers_in_base64_come_through() -> None:
    values = {"dtype": "f8", "bdata": "AAAAAAAA8D8="}
    assert chart("plotly", plotly(y=values)) == ChartOutput("plotly", plotly(y=values))
    assert chart("plotly", plotly(y={"dtype": "f8", "bdata": "javascript:x"})) is None


def test_a_figure_keeps_the_tags_that_plotly_writes_and_no_attribute() -> None:
    figure = plotly(name="<b>a</b><br>5 < 6", hovertemplate="x=%{x}<extra></extra>")
    assert chart("plotly", figure) == ChartOutput("plotly", figure)
    for text in ("<b onclick=x>a</b>", "<<b>a href=x>", "java<b>script:", "/<i>/x", "<bdo>"):
        assert chart("plotly", plotly(name=text)) is None


def test_what_json_has_no_number_for_is_left_empty() -> None:
    figure = chart("vega-lite", vega(data={"values": [{"a": float("nan"), "b": float("inf")}]}))
    assert figure is not None
    assert figure.spec["data"] == {"values": [{"a": None, "b": None}]}


def test_how_much_a_browser_has_to_draw_is_bounded() -> None:
    figure: dict[str, Any] = plotly(nbinsx=10**12)
    figure["layout"] |= {"height": 10**9, "xaxis": {"nticks": 10**9, "range": [0, 10**9]}}
    found = chart("plotly", figure)
    assert found is not None
    assert found.spec["data"] == plotly(nbinsx=1000)["data"]
    axis = {"nticks": 1000, "range": [0, 10**9]}
    assert found.spec["layout"] == {"title": "T", "height": 2000, "xaxis": axis}
    assert chart("plotly", plotly(y={"dtype": "f8", "bdata": "A" * 9_000_000})) is None


@pytest.mark.parametrize("dtype", ["O", "f16", "", 7, ["f8"]])
def test_an_array_of_anything_but_numbers_ends_the_figure(dtype: object) -> None:
    assert chart("plotly", plotly(y={"dtype": dtype, "bdata": "AAAA"})) is None


def test_a_figure_has_traces_and_a_layout_and_nothing_else() -> None:
    assert chart("plotly", {"data": []}) is None
    assert chart("plotly", {**plotly(), "title": "T"}) is None


def test_unknown_keys_are_left_out() -> None:
    figure: dict[str, Any] = plotly(meta="m", uirevision=[1])
    figure["layout"]["images"] = [{"source": "http://127.0.0.1/x"}]
    figure["layout"]["template"] = {}
    assert chart("plotly", figure) == ChartOutput("plotly", plotly())
    assert chart("vega-lite", vega(usermeta={}, params=[])) == ChartOutput("vega-lite", vega())


@pytest.mark.parametrize("key", ["url", "href", "src", "source", "expr", "format", "images"])
def test_a_key_that_may_fetch_does_not_come_through(key: str) -> None:
    for found in (chart("vega-lite", vega(data={key: "x"})), chart("plotly", plotly(**{key: "x"}))):
        assert found is None or key == "format" or key not in json.dumps(found.spec)


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1/x",
        "//127.0.0.1/x",
        "<a href='x'>y</a>",
        "<img src=x>",
        "< script",
        "JAVASCRIPT:alert(1)",
        "data:text/html,x",
        "url(#x)",
        "file:x",
        "blob:x",
        "x" * 3000,
        "\u202eevil",
        "\x1b[2J",
    ],
)
def test_an_address_or_markup_ends_the_figure(text: str) -> None:
    assert chart("plotly", plotly(name=text)) is None
    assert chart("vega-lite", vega(data={"values": [{"a": text}]})) is None
    assert chart("vega-lite", vega(title=text)) is None
    assert chart("vega-lite", vega(data={"values": [{text: 1}]})) is None


@pytest.mark.parametrize("kind", ["scattergeo", "choropleth", "image", "scattermapbox", "table", 7])
def test_a_trace_that_fetches_or_is_unknown_ends_the_figure(kind: object) -> None:
    assert chart("plotly", plotly(type=kind)) is None


@pytest.mark.parametrize("mark", ["image", "geoshape", {"type": "image"}, 7])
def test_a_mark_that_fetches_or_is_unknown_ends_the_figure(mark: object) -> None:
    assert chart("vega-lite", vega(mark=mark)) is None
    assert chart("vega-lite", {"layer": [vega(mark=mark)]}) is None


@pytest.mark.parametrize(
    "value", [None, [], "x", {}, {"data": {}}, {"data": 7}, {"data": "x"}, {"data": [1]}, 7]
)
def test_what_is_no_figure_is_none(value: object) -> None:
    assert chart("plotly", value) is None


def test_depth_and_size_are_bounded() -> None:
    deep: object = 1
    for _ in range(50):
        deep = [deep]
    assert chart("plotly", plotly(x=deep)) is None
    assert chart("plotly", plotly(x=[0] * 300_000)) is None
    assert chart("vega-lite", vega(data={"values": deep})) is None
    assert chart("vega-lite", vega(data={"values": [0] * 300_000})) is None


@pytest.mark.parametrize("key", ["nticks", "nbinsx", "nbinsy", "maxbins", "maxdepth", "columns"])
def test_every_count_of_what_is_drawn_is_bounded(key: str) -> None:
    found = chart("plotly", plotly(**{key: 10**12})) or chart("vega-lite", vega(**{key: 10**12}))
    assert found is not None
    assert str(10**12) not in json.dumps(found.spec)


def test_the_counts_of_vega_lite_are_bounded_too() -> None:
    axis = {"bin": {"maxbins": 10**12}, "axis": {"tickCount": 10**12}, "title": True}
    found = chart("vega-lite", vega(encoding={"x": axis}))
    assert found is not None
    bounded = {"bin": {"maxbins": 1000}, "axis": {"tickCount": 1000}, "title": True}
    assert found.spec["encoding"] == {"x": bounded}


@pytest.mark.parametrize("value", [7, None, ["AAAA"], {}])
def test_an_array_that_is_no_text_ends_the_figure(value: object) -> None:
    assert chart("plotly", plotly(y={"dtype": "f8", "bdata": value})) is None


def test_a_column_may_be_called_like_a_key_and_is_no_mark_then() -> None:
    figure = vega(data={"values": [{"mark": "image", "url": "a"}]})
    assert chart("vega-lite", figure) == ChartOutput("vega-lite", figure)
    pie: dict[str, Any] = {"data": [{"type": "pie", "values": {"evil": 1}}]}
    found = chart("plotly", pie)
    assert found is not None
    assert "evil" not in json.dumps(found.spec)

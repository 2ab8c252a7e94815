"""Plotly and Vega-Lite figures: rebuilt from the keys we know, refused with any address in them.

Both libraries can fetch: data, images, map tiles, links in a title. None of those keys is known
here, and a text that could be an address or markup ends the figure: only the few tags that Plotly
itself writes (`<br>`, `<b>`, …) may stand in it, and none with an attribute.
"""

import math
import re
from collections.abc import Mapping
from typing import Literal

from assistant.outputs import ChartOutput
from assistant.sandbox.plaintext import clean

MAX_NODES = 200_000
MAX_DEPTH = 14
MAX_TEXT = 2000
MAX_ARRAY = 8_000_000  # characters of base64 in one figure
MAX_SIDE, MAX_COUNT = 2000, 1000  # pixels; bins, ticks, levels: a browser draws each
_TAGS = re.compile(r"</?(?:b|i|br|sub|sup|extra)>", re.IGNORECASE)
_ADDRESS = re.compile(
    r"//|\bdata:|\bjavascript:|\bfile:|\bblob:|url\s*\(|<\s*[a-z/!]", re.IGNORECASE
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_TRACES = _words(
    """
    scatter scattergl bar histogram histogram2d box violin heatmap contour pie scatter3d surface
    candlestick ohlc funnel waterfall sunburst treemap scatterpolar barpolar indicator parcoords
    """
)
_PLOTLY = _words(
    """
    data layout type x y z a r theta text name mode marker line color colorscale size opacity
    width dash shape fill fillcolor labels values parents ids hole pull sort direction
    orientation base offset histfunc histnorm nbinsx nbinsy xbins ybins start end dx dy x0 y0
    open high low close increasing decreasing boxpoints boxmean jitter pointpos points box
    meanline side bandwidth error_x error_y array arrayminus symmetric visible showlegend
    legend legendgroup hoverinfo textposition textinfo textfont font family title autosize
    height margin l r t b pad xaxis yaxis xaxis2 yaxis2 xaxis3 yaxis3 xaxis4 yaxis4 scene
    polar radialaxis angularaxis zaxis range rangemode autorange tickmode tick0 dtick tickvals
    ticktext tickangle tickformat tickprefix ticksuffix ticks nticks showgrid gridcolor
    gridwidth zeroline showline showticklabels anchor overlaying domain row column grid rows
    columns pattern barmode bargap bargroupgap boxmode violinmode hovermode plot_bgcolor
    paper_bgcolor annotations showarrow arrowhead ax ay xref yref shapes x1 y1 xanchor yanchor
    colorbar coloraxis cmin cmax cmid cauto showscale reversescale zmin zmax zmid zauto
    contours coloring sizemode sizeref sizemin symbol colorway category categoryorder
    categoryarray cumulative enabled number value delta reference gauge axis bar dimensions
    label bordercolor borderwidth bgcolor traceorder connectgaps cliponaxis stackgroup
    groupnorm xgap ygap texttemplate alignmentgroup offsetgroup matches scaleanchor scaleratio
    constrain branchvalues maxdepth totals connector measure notched quartilemethod q1 q3
    median lowerfence upperfence whiskerwidth subplot dtype bdata hovertemplate hovertext
    customdata
    """
)
_VEGA = _words(
    """
    data values datasets name mark encoding type x y x2 y2 xOffset yOffset color fill stroke
    opacity size shape text tooltip order detail row column facet field aggregate bin maxbins
    step timeUnit title sort scale domain range scheme zero nice reverse base exponent clamp
    padding paddingInner paddingOuter axis grid labels labelAngle labelFontSize titleFontSize
    ticks tickCount format formatType orient legend stack value width height background layer
    hconcat vconcat concat columns resolve config view continuousWidth continuousHeight
    line point filled interpolate strokeWidth strokeDash innerRadius outerRadius radius theta
    cornerRadius align baseline dx dy fontSize fontWeight angle condition spacing band
    bandPosition extent median box outliers rule transform fold as groupby window op fields
    sample density bandwidth regression on method loess pivot flatten joinaggregate autosize
    subtitle anchor header fillOpacity strokeOpacity strokeCap tension limit
    """
)
_SIDES = frozenset({"width", "height"})
_COUNTS = frozenset({"nticks", "nbinsx", "nbinsy", "maxbins", "maxdepth", "tickCount", "columns"})
_NUMBERS = ("i1", "u1", "i2", "u2", "i4", "u4", "f4", "f8")
_ROWS = ("values", "datasets")  # Vega-Lite's data: their keys are the columns' names
_MARKS = _words(
    "bar line point area tick rect circle square rule text arc trail boxplot errorbar errorband"
)


class Refused(Exception):
    """The figure cannot be shown."""


def chart(library: Literal["plotly", "vega-lite"], value: object) -> ChartOutput | None:
    """The figure with what is known of it, or None: then its text is shown."""
    if not isinstance(value, Mapping):
        return None
    try:
        figure = _Rebuilt(_PLOTLY if library == "plotly" else _VEGA)
        spec = figure.mapping(value, 0)
        _check_plotly(spec) if library == "plotly" else _check_vega(spec)
    except Refused:
        return None
    return ChartOutput(library, spec)


def _check_plotly(spec: dict[str, object]) -> None:
    traces = spec.get("data")
    if not isinstance(traces, list) or not traces or not spec.keys() <= {"data", "layout"}:
        raise Refused
    for trace in traces:
        if not isinstance(trace, dict) or trace.setdefault("type", "scatter") not in _TRACES:
            raise Refused


def _check_vega(spec: object) -> None:
    """Every mark is one we know: `image` marks fetch, `geoshape` needs maps."""
    if isinstance(spec, list):
        for each in spec:
            _check_vega(each)
    elif isinstance(spec, dict):
        mark = spec.get("mark")
        kind = mark.get("type") if isinstance(mark, dict) else mark
        if mark is not None and kind not in _MARKS:
            raise Refused
        for key, each in spec.items():
            if key not in _ROWS:
                _check_vega(each)


class _Rebuilt:
    """A copy of JSON values, key by key."""

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known
        self._n_nodes = 0
        self._n_base64 = 0

    def mapping(self, value: Mapping[object, object], depth: int) -> dict[str, object]:
        kept: dict[str, object] = {}
        for key, each in value.items():
            if not isinstance(key, str) or key not in self._known:
                continue
            if key in _ROWS and self._known is _VEGA:
                kept[key] = self._rows(each, depth + 1)
            elif key == "bdata":
                kept[key] = self._base64(each)
            elif key == "dtype" and each not in _NUMBERS:
                raise Refused
            else:
                kept[key] = _bounded(key, self._value(each, depth + 1))
        return kept

    def _value(self, value: object, depth: int) -> object:
        self._count(depth)
        if isinstance(value, Mapping):
            return self.mapping(value, depth)
        if isinstance(value, list):
            return [self._value(each, depth + 1) for each in value]
        return _scalar(value)

    def _rows(self, value: object, depth: int) -> object:
        """Data: any column name that is a plain text."""
        self._count(depth)
        if isinstance(value, Mapping):
            return {str(_scalar(key)): self._rows(each, depth + 1) for key, each in value.items()}
        if isinstance(value, list):
            return [self._rows(each, depth + 1) for each in value]
        return _scalar(value)

    def _base64(self, value: object) -> str:
        if not isinstance(value, str) or not _BASE64.fullmatch(value):
            raise Refused
        self._n_base64 += len(value)
        if self._n_base64 > MAX_ARRAY:
            raise Refused
        return value

    def _count(self, depth: int) -> None:
        self._n_nodes += 1
        if depth > MAX_DEPTH or self._n_nodes > MAX_NODES:
            raise Refused


def _bounded(key: str, value: object) -> object:
    """A number that says how much there is to draw, within limits."""
    if not isinstance(value, int | float):
        return value
    most = MAX_SIDE if key in _SIDES else MAX_COUNT if key in _COUNTS else math.inf
    return min(value, most)


def _scalar(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None  # what JSON has no number for
    if value is None or isinstance(value, bool | int | float):
        return value
    if not isinstance(value, str) or clean(value, MAX_TEXT) != value:
        raise Refused
    if _ADDRESS.search(_TAGS.sub("", value)):
        raise Refused
    return value

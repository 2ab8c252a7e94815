"""What was measured, for people and for programs."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from engine.bench.peer import Comparison
from engine.bench.row import Row
from engine.memory import format_bytes

Head = list[tuple[str, str]]


@dataclass(frozen=True)
class Report:
    machine: str
    commit: str
    model: str
    kernels: str
    threads: int
    repeat: int
    weight_bytes: int  # read for each step
    resident_bytes: int  # at most
    rows: tuple[Row, ...]
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class ServerReport:
    """Of a server that somebody started: what it runs on is not told."""

    machine: str
    server: str
    model: str
    repeat: int
    rows: tuple[Row, ...]


def as_json(report: Report | ServerReport) -> str:
    fields: dict[str, Any] = asdict(report)
    for made, row in zip(fields["rows"], report.rows, strict=True):
        made["median"], made["p95"] = row.median, row.percentile(95)
    comparisons = report.comparisons if isinstance(report, Report) else ()
    for made, comparison in zip(fields.get("comparisons", ()), comparisons, strict=True):
        made["ratios"], made["median"] = comparison.ratios, comparison.median
    return json.dumps(fields, indent=2)


def as_text(report: Report | ServerReport) -> str:
    head = _model_head(report) if isinstance(report, Report) else _server_head(report)
    lines = [f"{name:>12}  {value}" for name, value in head]
    lines += ["", *map(_row_line, report.rows)]
    if isinstance(report, Report) and report.comparisons:
        lines += ["", *map(_comparison_line, report.comparisons)]
    return "\n".join(lines)


def _model_head(report: Report) -> Head:
    return [
        ("machine", report.machine),
        ("commit", report.commit or "unknown"),
        ("model", f"{report.model}, {format_bytes(report.weight_bytes)} read a token"),
        ("kernels", f"{report.kernels}, {report.threads} threads"),
        ("peak memory", format_bytes(report.resident_bytes)),
        ("each figure", f"median of {report.repeat} rounds after a warm-up (lowest to highest)"),
    ]


def _server_head(report: ServerReport) -> Head:
    return [
        ("machine", report.machine),
        ("server", report.server),
        ("model", report.model),
        ("each figure", f"median of {report.repeat} answers, or of all times that it was asked"),
    ]


def _row_line(row: Row) -> str:
    extra = [] if row.share is None else [f"{row.share:.0%} of the ceiling"]
    extra += [row.note] if row.note else []
    line = f"{row.name:>12}  {_figures(row.values, row.median)} {row.unit}, {row.what}"
    return ", ".join([line, *extra])


def _comparison_line(one: Comparison) -> str:
    ratios = sorted(one.ratios)
    ours, theirs = _spread(one.ours), _spread(one.theirs)
    spread = f"{ratios[0]:.2f} to {ratios[-1]:.2f}"
    return (
        f"{one.name:>24}  {one.median:.2f} times as fast ({spread}): "
        f"ours {ours}, theirs {theirs} {one.unit}"
    )


def _figures(values: Sequence[float], median: float) -> str:
    return _short(median) if len(values) == 1 else f"{_short(median)} ({_spread(values)})"


def _spread(values: Sequence[float]) -> str:
    return f"{_short(min(values))} to {_short(max(values))}"


def _short(value: float) -> str:
    """Three figures, whatever the size."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"

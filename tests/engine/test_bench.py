"""The benchmark: every row appears, what it says is measured, peers are run in turn."""

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.bench import __main__ as command
from engine.bench import machine
from engine.bench.peer import Task, llama_bench_figures
from engine.bench.rows import ROWS
from engine.bench.timeline import Timeline, shared_speed
from engine.home import model_home
from engine.random_model import SHAPES, make_random

SHORT = ["--repeat", "2", "--prompt", "9,20", "--output", "5", "--threads", "1"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = SHAPES["smollm2-135m"]
    config = replace(shape.config, layers=1, ffn=64, vocab_size=2048, context_length=512)
    path = tmp_path_factory.mktemp("bench") / "m.gguf"
    make_random(replace(shape, config=config), "q8_0", path)
    return path


@pytest.fixture(autouse=True)
def _small_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CEILING_BYTES", 1 << 20)


def report(model: Path, capsys: pytest.CaptureFixture[str], *more: str) -> dict[str, Any]:
    assert run(model, *more, "--json") == 0
    printed: dict[str, Any] = json.loads(capsys.readouterr().out)
    return printed


def run(model: Path, *more: str) -> int:
    cache = str(model_home() / "kernels")
    return command.main(["-m", str(model), "--kernel-cache", cache, *SHORT, *more])


def test_every_row_is_measured_in_every_round(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = report(model, capsys, "--all", "--concurrency", "1,2", "--contexts", "30,90")
    rows = found["rows"]
    assert {row["name"] for row in rows} == {*ROWS, "ceiling", "load"}
    names = [row["name"] for row in rows]
    assert [names.count(name) for name in ("prefill", "decode", "long", "turns")] == [2, 2, 2, 3]
    alone = [row for row in rows if "2 at once" not in row["what"]]  # so short, two may not meet
    assert all(min(row["values"]) > 0 for row in alone)
    assert all(len(row["values"]) == 2 for row in rows if row["name"] != "load")
    assert all((row["share"] is not None) == (row["name"] in ("decode", "long")) for row in rows)
    assert found["threads"] == 1


def test_the_default_is_short_and_says_its_warm_ups(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model) == 0
    out, err = capsys.readouterr()
    assert "prefill" in out
    assert "of the ceiling" in out
    assert "joining" not in out
    assert err.count("one warm-up, then 2 rounds") == 4  # the ceiling, two prompts, one answer


def test_a_second_turn_reports_its_cached_tokens(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, _, cold, turn, other = report(model, capsys, "--rows", "turns")["rows"]
    assert cold["note"] == ""
    assert "cached" in turn["note"]
    assert int(other["note"].split(", ")[1].split()[0]) >= 400


def stand_in(path: Path, code: str) -> str:
    path.write_text(code)
    return f"{sys.executable} {path}"


def test_llama_bench_is_run_in_turn_and_compared_task_by_task(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tests = [
        {"n_prompt": 9, "n_gen": 0, "n_depth": 0, "avg_ts": 2.0},
        {"n_prompt": 0, "n_gen": 4, "n_depth": 7, "avg_ts": 0.5},
        {"n_prompt": 5, "n_gen": 3, "avg_ts": 1.0},
    ]
    code = f"open({str(tmp_path / 'runs')!r}, 'a').write('x')\nprint({json.dumps(tests)!r})"
    found = report(model, capsys, "--compare", stand_in(tmp_path / "peer.py", code))
    assert (tmp_path / "runs").read_text() == "xxx"  # a warm-up and two rounds
    names = ["prefill 9", "decode 4 after 7", "prefill 5 + decode 3"]
    assert [each["name"] for each in found["comparisons"]] == names
    first = found["comparisons"][0]
    assert first["theirs"] == [2.0, 2.0]
    assert first["ratios"] == [pytest.approx(ours / 2.0) for ours in first["ours"]]
    assert {row["name"] for row in found["rows"]} == {"ceiling", "load"}


def test_figures_of_another_program_are_found_by_patterns_or_it_is_timed(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = "import sys; print('read 40.5 tok/s'); print('wrote: 250 ms/token', file=sys.stderr)"
    peer = stand_in(tmp_path / "peer.py", code)
    figures = ["--figure", r"prefill=read ([\d.]+)", "--figure", r"decode=(?P<ms>\d+) ms"]
    found = report(model, capsys, "--compare", peer, *figures)["comparisons"]
    assert [each["theirs"] for each in found] == [[40.5, 40.5], [4.0, 4.0]]
    (timed,) = report(model, capsys, "--compare", peer)["comparisons"]
    assert timed["unit"] == "s"
    assert timed["median"] > 0


@pytest.mark.parametrize(
    ("code", "figure", "said"),
    [
        ("raise SystemExit('no such model')", "decode=(x)", "no such model"),
        ("print('nothing')", r"decode=(\d+)", "found in the command's output"),
        ("print('zero 0 ms')", r"decode=(?P<ms>\d) ms", "a number in group 1"),
    ],
)
def test_a_peer_that_gives_no_figure_is_an_error(
    model: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    code: str,
    figure: str,
    said: str,
) -> None:
    peer = stand_in(tmp_path / "peer.py", code)
    assert run(model, "--compare", peer, "--figure", figure) == 1
    assert said in capsys.readouterr().err


def test_a_command_that_is_not_there_is_an_error(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(model, "--compare", str(tmp_path / "absent")) == 1
    assert "can be started" in capsys.readouterr().err


def test_other_output_is_no_llama_bench_report() -> None:
    assert llama_bench_figures("") == llama_bench_figures('{"n_prompt": 1}') == {}
    assert llama_bench_figures('[{"n_prompt": 1, "n_gen": 2, "avg_ts": 3}]') == {Task(1, 2): 3.0}


def line(*times: float) -> Timeline:
    return Timeline(0.0, times, tuple(range(len(times))), 0)


def test_shared_speed_counts_only_while_all_are_decoding() -> None:
    assert shared_speed([line(1, 2, 3)]) == 1.0
    assert shared_speed([line(0, 1, 2, 3, 4), line(2, 3, 4, 5, 6)]) == 2.0
    assert shared_speed([line(0, 1), line(2, 3)]) == 0.0


@pytest.mark.parametrize(
    "wrong", [["--rows", "speed"], ["--prompt", "0"], ["--output", "1"], ["--figure", "x=("]]
)
def test_a_wrong_option_is_refused(wrong: Sequence[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(wrong)


def test_make_random_writes_a_file_by_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shape = SHAPES["chatglm3-6b"]
    config = replace(shape.config, layers=1, hidden=64, heads=4, head_dim=16, rotary_dim=8, ffn=64)
    monkeypatch.setitem(SHAPES, "chatglm3-6b", replace(shape, config=config))
    path = tmp_path / "m.bin"
    make = ["--make-random", "chatglm3-6b", "-t", "q4_1", "-o", str(path)]
    assert command.main(make) == 0
    assert run(path, "--rows", "prefill") == 0
    assert command.main(make) == 1
    assert "--force" in capsys.readouterr().err

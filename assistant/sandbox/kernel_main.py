"""The Python that runs inside the jail: ipykernel on sockets that it was handed.

It is started with `python -I -B -c`, on a kernel environment that has no other file of ours.
Nothing here guards anything: the code of a run can change all of it. The walls are around it.
"""

import asyncio
import builtins
import importlib
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextvars import copy_context
from functools import partial
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

import zmq
from ipykernel.iostream import OutStream
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from IPython.core.formatters import BaseFormatter, DisplayFormatter
from IPython.core.interactiveshell import InteractiveShell
from traitlets import ObjectName, Unicode

TABLE = "application/vnd.app.table+json"
PLOTLY = "application/vnd.plotly.v1+json"
VEGA_LITE = "application/vnd.vegalite.v6+json"
MAX_ROWS = 500
MAX_COLUMNS = 100
MAX_CELL = 1000  # characters
MAX_VARIABLES = 200
MAX_WAITING = 500_000  # characters
NO_INPUT = (
    "input() cannot be used here: nobody can type into a running program. "
    "Write the values into the code."
)


class Kernel(IPythonKernel):
    """Answers one request more: what variables there are."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shell_handlers["variables_request"] = self.variables_request

    def raw_input(self, prompt: object = "") -> str:
        raise RuntimeError(NO_INPUT)

    def getpass(self, *_args: object, **_options: object) -> str:
        raise RuntimeError(NO_INPUT)

    async def variables_request(self, stream: Any, ident: Any, parent: Any) -> None:
        content = {"variables": variables(self.shell) if self.shell else []}
        assert self.session
        self.session.send(stream, "variables_reply", content, parent, ident=ident)


class TableFormatter(BaseFormatter):
    """A DataFrame as JSON; every other object has none."""

    format_type = Unicode(TABLE)
    print_method = ObjectName("_app_table_")
    _return_type = dict


class ChartFormatter(BaseFormatter):
    """A figure of Altair's as Vega-Lite, which it itself sends as a page with scripts."""

    format_type = Unicode(VEGA_LITE)
    print_method = ObjectName("_app_chart_")
    _return_type = dict


class Outlet(OutStream):
    """Sends what is printed before it is more than one message may hold."""

    _n_waiting = 0

    def write(self, string: str) -> int:
        written = super().write(string) or 0
        self._n_waiting += len(string)
        if self._n_waiting > MAX_WAITING:
            self._n_waiting = 0
            self.flush()
        return written


class App(IPKernelApp):
    """Binds to file descriptors, of which two are used; has no files and no heart to beat."""

    def _try_bind_socket(self, socket: Any, port: int) -> int:
        if port:
            socket.setsockopt(zmq.USE_FD, port)
            socket.bind("ipc://handed-over")
        else:
            socket.bind(f"inproc://unused-{id(socket)}")
        return port

    def init_control(self, context: Any) -> None:
        context.setsockopt(zmq.RECONNECT_IVL, -1)  # the debugger's socket, which may not connect
        super().init_control(context)

    def init_heartbeat(self) -> None: ...

    def init_connection_file(self) -> None: ...

    def write_connection_file(self, **_options: object) -> None: ...

    def log_connection_info(self) -> None: ...


def variables(shell: InteractiveShell) -> list[dict[str, str]]:
    """Name, type, shape and size of what the user has defined."""
    hidden = shell.user_ns_hidden
    names = [
        name
        for name, value in list(shell.user_ns.items())
        if not name.startswith("_")
        and not isinstance(value, ModuleType)
        and hidden.get(name, hidden) is not value
    ]
    return [described(name, shell.user_ns[name]) for name in names[:MAX_VARIABLES]]


def described(name: str, value: object) -> dict[str, str]:
    kind = type(value)
    module = "" if kind.__module__ in ("builtins", "__main__") else kind.__module__.split(".")[0]
    return {
        "name": name,
        "type": f"{module}.{kind.__qualname__}" if module else kind.__qualname__,
        "shape": quietly(shape, value),
        "size": quietly(size, value),
    }


def quietly(describe: Any, value: object) -> str:
    """What a describer says, or nothing: an object may raise from anywhere."""
    try:
        return str(describe(value))
    except Exception:  # whatever the run's own classes raise, inside its own jail
        return ""


def shape(value: Any) -> str:
    if isinstance(getattr(value, "shape", None), tuple):
        return " x ".join(map(str, value.shape))
    return str(len(value)) if hasattr(value, "__len__") else ""


def size(value: Any) -> int:
    if "pandas" in type(value).__module__:
        usage = value.memory_usage(deep=False)
        return int(getattr(usage, "sum", lambda: usage)())
    return int(getattr(value, "nbytes", None) or sys.getsizeof(value))


def table(frame: Any) -> dict[str, object]:
    """A DataFrame's or Series' first rows as plain JSON values, its index as first columns."""
    n_rows = len(frame)
    head = frame.iloc[:MAX_ROWS]
    head = head.to_frame() if head.ndim == 1 else head.iloc[:, :MAX_COLUMNS]
    names = [plain_name(name, f"{i}") for i, name in enumerate(head.index.names)]
    names = [""] if names == ["0"] else names
    columns = [*names, *(plain_name(column, "") for column in head.columns)]
    keys = [key if isinstance(key, tuple) else (key,) for key in head.index]
    cells = zip(*(head.iloc[:, i] for i in range(head.shape[1])), strict=True)
    rows = [[*key, *row] for key, row in zip(keys, cells, strict=True)] if head.shape[1] else []
    return {"columns": columns, "rows": [[*map(plain, row)] for row in rows], "n_rows": n_rows}


def figure_words(figure: Any, printer: Any, is_cycle: bool) -> None:
    """What a figure of matplotlib's says in words: for people who hear the page."""
    whole = figure.get_suptitle()
    parts = [
        part
        for axes in figure.axes
        for part in (axes.get_title(), axes.get_xlabel(), axes.get_ylabel())
    ]
    words = "; ".join(filter(None, (whole, *parts)))
    printer.text(words or repr(figure))


def plain_name(name: object, default: str) -> str:
    return default if name is None else str(name)[:MAX_CELL]


def plain(value: Any) -> object:
    """A cell as JSON has it; a number that JSON has not becomes text."""
    if hasattr(value, "item") and not hasattr(value, "__len__"):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else None if value != value else str(value)
    return str(value)[:MAX_CELL]


def prepare_matplotlib() -> None:
    """A Chinese font behind the usual one, glyph by glyph; both were found when set up."""
    config = Path(os.environ["MPLCONFIGDIR"])
    config.mkdir(parents=True, exist_ok=True)
    for file in (Path(sys.prefix) / "matplotlib").glob("*"):  # the fonts' index, matplotlibrc
        shutil.copy(file, config)


def preload() -> None:
    """What nearly every run imports, so that a warm session need not."""
    for name in ("matplotlib.pyplot", "numpy", "pandas"):
        importlib.import_module(name)


def explain_errors(shell: InteractiveShell) -> None:
    """A traceback is of the person's own code, and a missing column says which there are."""
    own = (f"{tempfile.gettempdir()}/ipykernel_", f"{Path.cwd()}/")
    found = shell._get_exc_info

    def explained(given: Any = None) -> Any:
        kind, error, trace = found(given)
        if (hint := quietly(missing_column, error)) and not hasattr(error, "__notes__"):
            error.add_note(hint)
        cause = error.__cause__
        if cause and not any(map(is_of(own), steps(cause.__traceback__))):
            error.__cause__ = None  # a library's own affair, as its context is then
        return kind, error, without_libraries(trace, is_of(own))

    shell.__dict__["_get_exc_info"] = explained


def steps(trace: TracebackType | None) -> Iterator[TracebackType]:
    while trace is not None:
        yield trace
        trace = trace.tb_next


def is_of(places: tuple[str, ...]) -> Callable[[TracebackType], bool]:
    return lambda step: step.tb_frame.f_code.co_filename.startswith(places)


def without_libraries(
    trace: TracebackType | None, is_own: Callable[[TracebackType], bool]
) -> TracebackType | None:
    """The way from the shell to the person's code and through it. Without such code, all."""
    way = list(steps(trace))
    first = next((at for at, step in enumerate(way) if is_own(step)), len(way))
    kept = None
    for step in reversed([*way[:first], *filter(is_own, way[first:])]):
        kept = TracebackType(kept, step.tb_frame, step.tb_lasti, step.tb_lineno)
    return kept


def missing_column(error: BaseException) -> str:
    """What a table would have had instead; nothing when no table was asked."""
    if not isinstance(error, KeyError):
        return ""
    for step in reversed(list(steps(error.__traceback__))):
        asked: Any = step.tb_frame.f_locals.get("self")
        if type(asked).__module__.partition(".")[0] == "pandas" and hasattr(asked, "columns"):
            names = ", ".join(repr(name) for name in asked.columns[:MAX_COLUMNS])
            return f"There is no column {error}. The columns are: {names}"[: 2 * MAX_CELL]
    return ""


def prepare_shell(shell: InteractiveShell) -> None:
    shell.InteractiveTB.set_mode("Plain")
    explain_errors(shell)
    shell.__dict__["system"] = shell.system_raw  # there are no pseudo-terminals
    builtins.input = Kernel.instance().raw_input
    formatter = shell.display_formatter
    assert isinstance(formatter, DisplayFormatter)
    tables = TableFormatter(parent=formatter)
    for kind in ("DataFrame", "Series"):
        tables.for_type_by_name("pandas", kind, table)
    charts = ChartFormatter(parent=formatter)
    charts.for_type_by_name("altair.vegalite.v6.api", "TopLevelMixin", lambda it: it.to_dict())
    formatter.formatters |= {TABLE: tables, VEGA_LITE: charts}
    formatter.active_types = ["text/plain", "image/png", "image/jpeg", TABLE, PLOTLY, VEGA_LITE]
    shell.enable_matplotlib("inline")  # forgets what formatters know of figures
    plain = formatter.formatters["text/plain"]
    plain.for_type_by_name("matplotlib.figure", "Figure", figure_words)


def keep_context() -> None:
    """What a thread prints belongs to the run that started it."""
    start = threading.Thread.start

    def start_in_context(thread: threading.Thread) -> None:
        thread.__dict__["run"] = partial(copy_context().run, thread.run)
        start(thread)

    # mypy lets nobody replace a method; threads have no other hook
    threading.Thread.start = start_in_context  # type: ignore[assignment, method-assign]


def main(options: dict[str, Any]) -> None:
    prepare_matplotlib()
    os.environ.setdefault("PLOTLY_RENDERER", "plotly_mimetype")  # else it sends 4 MB of HTML too
    preload()
    asyncio.set_event_loop(asyncio.new_event_loop())
    app = App.instance(
        transport="ipc",
        shell_port=options["shell"],
        iopub_port=options["iopub"],
        kernel_class=Kernel,
        outstream_class=f"{__name__}.{Outlet.__name__}",
        log_level=50,
    )
    app.config.HistoryManager.enabled = False
    app.session.key = b""
    app.initialize([])
    assert isinstance(app.shell, InteractiveShell)
    prepare_shell(app.shell)
    sys.path.append(str(Path.cwd()))  # the person's modules, behind all others
    keep_context()
    app.start()


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

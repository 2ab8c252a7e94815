"""The layers: who may import whom, read from the source. DESIGN's table as code.

What it does not cover: modules found by name at run time (importlib), which the tools are.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = ("engine", "assistant", "pages", "tools", "streamlit_app")
NEVER = {
    "engine": {"assistant", "tools", "pages", "streamlit_app", "streamlit", "jupyter_client"},
    "assistant": {"pages", "streamlit_app", "streamlit", "numba", "llvmlite"},
    "pages": {"engine", "tools", "streamlit_app", "jupyter_client"},
    "tools": {"engine", "assistant", "pages", "streamlit_app", "streamlit"},
    "streamlit_app": {"engine", "tools", "jupyter_client"},
}
DOORWAYS = {  # layers of which only the names in `__all__` may be used
    "assistant": {"engine", "tools"},
    "pages": {"assistant"},
    "streamlit_app": {"assistant"},
}
ONLY = {  # layers that draw, and the only libraries they may draw with
    "pages": {"streamlit"},
    "streamlit_app": {"streamlit", "starlette"},
}


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` when `name` is empty."""

    module: str
    name: str
    line: int
    late: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


@dataclass(frozen=True)
class Source:
    """One file: its dotted name, its layer, its syntax."""

    root: Path
    path: Path

    @property
    def module(self) -> str:
        parts = self.path.relative_to(self.root).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @property
    def layer(self) -> str:
        return self.module.partition(".")[0]

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    def at(self, line: int) -> str:
        return f"{self.path.relative_to(self.root)}:{line}"

    def imports(self) -> list[Import]:
        return list(self._imports(self.tree, late=False))

    def _imports(self, node: ast.AST, *, late: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, "", node.lineno, late)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield Import(self._absolute(node), alias.name, node.lineno, late)
        inside = late or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from self._imports(child, late=inside)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        package = self.path.parent.relative_to(self.root).parts
        base = package[: len(package) - node.level + 1]
        return ".".join([*base, *([node.module] if node.module else [])])


def sources(root: Path) -> list[Source]:
    files = [path for layer in OWN for path in sorted((root / layer).rglob("*.py"))]
    launcher = root / "streamlit_app.py"
    return [Source(root, path) for path in [*files, *([launcher] if launcher.exists() else [])]]


def exported(root: Path, layer: str) -> set[str]:
    """The names in a doorway's `__all__`."""
    doorway = root / layer / "__init__.py"
    if not doorway.exists():
        return set()
    for node in ast.parse(doorway.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


# --- the rules: each yields what is wrong -------------------------------------------------------


def forbidden_imports(root: Path) -> Iterator[str]:
    for source in sources(root):
        for each in source.imports():
            if each.top in NEVER[source.layer]:
                yield f"{source.at(each.line)}: {source.layer} must not import {each.top}"


def imports_past_a_doorway(root: Path) -> Iterator[str]:
    names = {layer: exported(root, layer) for layer in OWN}
    for source in sources(root):
        for each in source.imports():
            if each.top not in DOORWAYS.get(source.layer, ()):
                continue
            if each.module != each.top or (each.name and each.name not in names[each.top]):
                yield f"{source.at(each.line)}: {each.module} {each.name} is behind the doorway"


def foreign_libraries(root: Path) -> Iterator[str]:
    for source in sources(root):
        for each in source.imports():
            known = {*sys.stdlib_module_names, *OWN, *ONLY.get(source.layer, ())}
            if source.layer in ONLY and each.top not in known:
                yield f"{source.at(each.line)}: {source.layer} must not import {each.top}"


def late_imports(root: Path) -> Iterator[str]:
    for source in sources(root):
        for each in source.imports():
            if each.late and each.top in OWN:
                yield f"{source.at(each.line)}: {each.module} is imported inside a function"


def cycles(root: Path) -> Iterator[str]:
    files = {source.module: source for source in sources(root)}
    needs = {name: _needs(source, files) for name, source in files.items()}
    done: set[str] = set()
    for start in needs:
        yield from _walk(start, [], needs, done)


def _needs(source: Source, files: dict[str, Source]) -> set[str]:
    """The files of its own layer that a file imports."""
    found = set()
    for each in source.imports():
        submodule = f"{each.module}.{each.name}"
        name = submodule if submodule in files else each.module
        if name in files and each.top == source.layer:
            found.add(name)
    return found


def _walk(name: str, path: list[str], needs: dict[str, set[str]], done: set[str]) -> Iterator[str]:
    if name in path:
        yield " -> ".join([*path[path.index(name) :], name])
    elif name not in done:
        for other in sorted(needs[name]):
            yield from _walk(other, [*path, name], needs, done)
        done.add(name)


def dangerous_words(root: Path) -> Iterator[str]:
    """fastmath deletes checks for NaN; the others run text as code."""
    for source in sources(root):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Call) and (word := _danger(node)):
                yield f"{source.at(node.lineno)}: {word}"


def _danger(call: ast.Call) -> str:
    called = ast.unparse(call.func)
    if called in ("eval", "exec", "builtins.eval", "builtins.exec", "os.system", "os.popen"):
        return called
    for keyword in call.keywords:
        off = isinstance(keyword.value, ast.Constant) and not keyword.value.value
        if keyword.arg in ("fastmath", "shell") and not off:
            return f"{keyword.arg}={ast.unparse(keyword.value)}"
    return ""


Rule = Callable[[Path], Iterator[str]]
RULES: list[Rule] = [
    forbidden_imports,
    imports_past_a_doorway,
    foreign_libraries,
    late_imports,
    cycles,
    dangerous_words,
]


@pytest.mark.parametrize("rule", RULES)
def test_this_tree_keeps_the_rules(rule: Rule) -> None:
    assert list(rule(ROOT)) == []


def test_the_tree_that_is_read_is_the_whole_one() -> None:
    layers = {source.layer for source in sources(ROOT)}
    assert {"engine", "assistant", "pages", "streamlit_app"} <= layers
    assert "engine.kernels.dot" in {source.module for source in sources(ROOT)}
    assert "Engine" in exported(ROOT, "engine")


# --- each rule, broken once ---------------------------------------------------------------------

SOUND = {
    "engine/__init__.py": "from engine.engine import Engine\n__all__ = ['Engine']\n",
    "engine/engine.py": "import numpy\nfrom engine.errors import Wrong\n",
    "engine/errors.py": "class Wrong(Exception): ...\n",
    "assistant/__init__.py": "from assistant.jobs import Job\n__all__ = ['Job']\n",
    "assistant/jobs.py": "import starlette\nimport engine\nfrom engine import Engine\n",
    "pages/main.py": "import streamlit as st\nfrom assistant import Job\n",
    "pages/parts/bar.py": "import json\nimport assistant\n",
    "tools/clock.py": "import datetime\n",
    "streamlit_app.py": "import streamlit\nfrom starlette.routing import Route\nimport assistant\n",
}
BROKEN: list[tuple[Rule, str, str]] = [
    (forbidden_imports, "engine/errors.py", "import assistant"),
    (forbidden_imports, "engine/errors.py", "from streamlit.runtime import get_instance"),
    (forbidden_imports, "engine/kernels/dot.py", "from ...assistant import jobs"),
    (forbidden_imports, "assistant/jobs.py", "import streamlit"),
    (forbidden_imports, "assistant/jobs.py", "def f():\n    from numba import njit"),
    (forbidden_imports, "assistant/jobs.py", "import pages.main"),
    (forbidden_imports, "pages/main.py", "import engine"),
    (forbidden_imports, "pages/parts/bar.py", "import jupyter_client"),
    (forbidden_imports, "tools/clock.py", "from assistant import Job"),
    (forbidden_imports, "streamlit_app.py", "from tools import clock"),
    (imports_past_a_doorway, "assistant/jobs.py", "from engine.engine import Engine"),
    (imports_past_a_doorway, "assistant/jobs.py", "import engine.errors"),
    (imports_past_a_doorway, "assistant/jobs.py", "from engine import errors"),
    (imports_past_a_doorway, "pages/main.py", "from assistant.jobs import Job"),
    (imports_past_a_doorway, "streamlit_app.py", "from assistant import jobs"),
    (foreign_libraries, "pages/main.py", "import starlette"),
    (foreign_libraries, "streamlit_app.py", "import numpy"),
    (late_imports, "engine/errors.py", "def f():\n    import engine.engine"),
    (late_imports, "assistant/jobs.py", "class A:\n    async def f(self):\n        import engine"),
    (cycles, "engine/errors.py", "from engine.engine import Engine"),
    (cycles, "engine/errors.py", "from engine import Engine"),
    (cycles, "engine/errors.py", "from . import engine"),
    (cycles, "assistant/jobs.py", "import assistant"),
    (dangerous_words, "engine/errors.py", "f = njit(fastmath=True)"),
    (dangerous_words, "engine/errors.py", "f = njit(fastmath={'reassoc'})"),
    (dangerous_words, "tools/clock.py", "def f(x):\n    return eval(x)"),
    (dangerous_words, "assistant/jobs.py", "exec('1')"),
    (dangerous_words, "assistant/jobs.py", "run('ls', shell=True)"),
    (dangerous_words, "pages/main.py", "os.system('ls')"),
]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, encoding="utf-8")


@pytest.mark.parametrize("rule", RULES)
def test_a_sound_tree_passes(rule: Rule, tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    assert list(rule(tmp_path)) == []


@pytest.mark.parametrize(("rule", "file", "line"), BROKEN)
def test_one_wrong_line_is_found(rule: Rule, file: str, line: str, tmp_path: Path) -> None:
    write(tmp_path, SOUND)
    write(tmp_path, {file: SOUND.get(file, "") + line + "\n"})
    found = list(rule(tmp_path))
    assert found
    assert all(file in entry or rule is cycles for entry in found)

"""`python -m assistant` as another user starts it, with Pythons that any user may run.

As a script: `normal_user.py FOLDER UID COMMANDS`, where FOLDER has what `for_everybody` made. Root
becomes UID once the program is loaded; UID -1 stays who we are.
"""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SYSTEM_PYTHON = Path("/usr/bin/python3")
# What the supervisor imports that is not ours, and the libraries that lie beside some of them.
LIBRARIES = ("PIL", "zmq", "jupyter_client", "jupyter_core", "traitlets", "tornado", "dateutil")
BESIDE = ("pillow.libs", "pyzmq.libs", "six.py", "platformdirs", "typing_extensions.py")
# Of the sessions' environment, what a session does not load by itself: a third of it is enough.
UNUSED = ("scipy*", "sklearn", "sympy", "mpmath", "plotly", "altair", "openpyxl", "pip", "tests")


@cache
def python_for_everybody() -> Path | None:
    """One of the version that these tests run on, since it is to use the same libraries."""
    own = Path(sys.executable).resolve()
    if all(each.stat().st_mode & 1 for each in own.parents):
        return own
    version = "import sys; print(sys.version_info[:2])"
    told = subprocess.run(
        [SYSTEM_PYTHON, "-c", version], capture_output=True, text=True, check=True
    )
    return SYSTEM_PYTHON if told.stdout.strip() == str(sys.version_info[:2]) else None


def for_everybody(base: Path, environment: Path) -> None:
    """Below `base`: the program, a Python for its supervisor, and one for its sessions."""
    python = python_for_everybody()
    assert python is not None
    for package in ("assistant", "engine", "tools"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / package, base / "app" / package, ignore=ignore)
    site = _environment(base / "supervisor", python)
    site.mkdir(parents=True)
    for name in LIBRARIES:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parent
        shutil.copytree(source, site / name)
        for beside in (source.parent / each for each in BESIDE):
            if beside.is_dir():
                shutil.copytree(beside, site / beside.name, dirs_exist_ok=True)
            elif beside.is_file():
                shutil.copy(beside, site)
    _environment(base / "kernel", python)
    ignore = shutil.ignore_patterns(*UNUSED)
    library = base / "kernel" / "lib"
    shutil.copytree(environment / "lib", library, copy_function=_linked, ignore=ignore)
    shutil.copytree(environment / "matplotlib", base / "kernel" / "matplotlib")


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one that has no links
        shutil.copy2(source, target)


def _environment(folder: Path, python: Path) -> Path:
    """A virtual environment without a library; the folder for them, which is not made."""
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "python").symlink_to(python)
    (folder / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    return folder / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


@dataclass(frozen=True)
class Done:
    """What one command gave."""

    code: int
    out: str
    err: str


def commands(base: Path, uid: int, *each: Sequence[str]) -> list[Done]:
    """Runs them one after the other, as that user, in one process."""
    script = [sys.executable, "-B", str(Path(__file__).resolve()), str(base), str(uid)]
    done = subprocess.run(
        [*script, json.dumps(each)], stdout=subprocess.PIPE, text=True, timeout=600, check=True
    )
    return [Done(*found) for found in json.loads(done.stdout)]


def main(base: Path, uid: int, each: Sequence[Sequence[str]]) -> list[tuple[int, str, str]]:
    sys.path.insert(0, str(base / "app"))
    assistant = import_module("assistant.cli").main  # of that folder
    sys.executable = str(base / "supervisor" / "bin" / "python")
    os.environ["ASSISTANT_KERNEL_ENV"] = str(base / "kernel")
    os.environ["ASSISTANT_HOME"] = str(base / "home")
    if uid >= 0:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    os.chdir("/")
    os.nice(3)  # as who wants to be no burden starts it; a normal user cannot take that back
    found = []
    for arguments in each:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = assistant(arguments)
        found.append((code, out.getvalue(), err.getvalue()))
    return found


if __name__ == "__main__":
    sys.path.remove(str(Path(__file__).resolve().parent))
    json.dump(main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3])), sys.stdout)

"""Sessions under load for a quarter of an hour: `python -m tests.soak [SESSIONS RUNS]`

Twenty sessions, 2,000 runs, one in ten hostile. At the end nothing may be left: no process, file
descriptor, folder or mount; and the supervisor's memory has to be flat.
"""

import json
import os
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from assistant.sandbox.limits import Limits
from assistant.sandbox.sessions import Sessions
from assistant.sandbox.settings import SandboxSettings
from engine import model_home

KIND = [
    "1 + 1",
    "print('中文' * 100)",
    "import pandas as pd; pd.DataFrame({'a': range(100)})",
    "import matplotlib.pyplot as plt; plt.plot([1, 2]); plt.show()",
    "open('out.txt', 'w').write('x' * 1000)",
    "1 / 0",
    "x = list(range(10_000)); len(x)",
]
HOSTILE = [
    "import os; os._exit(1)",
    "while True: print('x' * 10_000)",
    "import os\nfor _ in range(500): os.fork()",
    "x = [bytearray(64 << 20) for _ in range(64)]",
    "while True: pass",
    "import os\nif os.fork() == 0:\n  os.setsid()\n  while True: pass",
    "import os\nfor f in range(3, 99):\n  try: os.write(f, b'\\xff' * 4096)\n  except OSError: 0",
    "f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))",
    "import os\nfor fd in range(3, 100):\n  try: os.close(fd)\n  except OSError: pass",
    "from IPython.display import display\ndisplay({'image/png': 'x' * 30_000_000}, raw=True)",
]


@dataclass
class Outcome:
    """What a soak found."""

    runs: int
    seconds: float
    ended: Counter[str] = field(default_factory=Counter)
    left: dict[str, int] = field(default_factory=dict)  # more than there was before
    memory: list[int] = field(default_factory=list)  # of the supervisor, in bytes, as it went


class Held:
    """What this machine holds of ours: counted before and after."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def count(self) -> dict[str, int]:
        return {
            "processes": len(descendants(os.getpid())),
            "threads": threading.active_count(),
            "descriptors": len([*Path("/proc/self/fd").iterdir()]),
            "mounts": len(Path("/proc/self/mounts").read_text().splitlines()),
            "waiting folders": len([*self._home.glob("waiting-*")]),
            "socket folders": len([*Path(tempfile.gettempdir()).glob("kernel-sockets-*")]),
        }


def descendants(pid: int) -> list[int]:
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(path.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def soak(home: Path, n_sessions: int, n_runs: int, seconds: float) -> Outcome:
    """Runs them from four threads; ends early when the time is over."""
    held = Held(home)
    before = held.count()
    began = time.monotonic()
    settings = SandboxSettings(
        run_seconds=5,
        max_sessions=max(n_sessions // 3, 4),
        polite=False,
        limits=Limits(memory=512 << 20, disk=50 << 20, file_size=40 << 20),
    )
    sessions = Sessions(home, settings, environment_home=model_home())
    outcome = Outcome(0, 0)
    try:
        _drive(sessions, outcome, n_sessions, n_runs, began + seconds)
    finally:
        sessions.close()
    after = held.count()
    outcome.left = {name: after[name] - n for name, n in before.items() if after[name] > n}
    outcome.seconds = time.monotonic() - began
    return outcome


def _drive(
    sessions: Sessions, outcome: Outcome, n_sessions: int, n_runs: int, until: float
) -> None:
    chooser, lock = random.Random(6), threading.Lock()
    supervisor = sessions.client().pid

    def work() -> None:
        while True:
            with lock:
                if outcome.runs >= n_runs or time.monotonic() > until:
                    return
                outcome.runs += 1
                if outcome.runs % max(n_runs // 20, 1) == 0:
                    outcome.memory.append(resident(supervisor))
                name = f"s{chooser.randrange(n_sessions)}"
                code = chooser.choice(HOSTILE if chooser.random() < 0.1 else KIND)
            result = sessions.session(name).run(code, threading.Event(), lambda _: None)
            with lock:
                outcome.ended[result.ended] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def is_flat(memory: list[int]) -> bool:
    """Whether it grows no more once every session has been there: by no more than a tenth."""
    quarter = len(memory) // 4
    return max(memory[-quarter:]) < 1.1 * max(memory[quarter:-quarter])


def resident(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    n_sessions, n_runs = map(int, sys.argv[1:3] or (20, 2000))
    with tempfile.TemporaryDirectory() as folder:
        found = soak(Path(folder), n_sessions, n_runs, 15 * 60)
    sys.stdout.write(json.dumps(vars(found)) + "\n")
    sys.exit(1 if found.left or not is_flat(found.memory) else 0)

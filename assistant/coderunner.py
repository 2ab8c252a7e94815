"""Where code runs: the turn loop and the pages know this much of a sandbox, and no more."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from assistant.outputs import Output

CodeEnded = Literal["ok", "error", "timeout", "limit", "crashed", "cancelled", "refused"]
OutputListener = Callable[[Sequence[Output]], None]


@dataclass(frozen=True)
class CodeResult:
    """What a run gave, and how it ended.

    "error" is the code's own; "timeout", "limit" and "crashed" are said in the last output;
    "refused" means that nothing ran, because no sandbox holds here.
    """

    outputs: tuple[Output, ...]
    ended: CodeEnded
    seconds: float
    level: str  # of isolation
    new_files: tuple[str, ...]  # names in the conversation's folder, made or changed by this run


class CodeRunner(Protocol):
    """One conversation's Python. Safe to use from any thread; runs wait for each other."""

    def run(self, code: str, cancelled: threading.Event, listener: OutputListener) -> CodeResult:
        """Blocks until the code has ended; `listener` gets all outputs so far as they grow.

        Setting `cancelled` stops the code. Every fault of the code is a result.
        """
        ...

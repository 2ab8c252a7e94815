"""All tools there are, from every source, behind one name each."""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import ToolOfferedTwice
from assistant.toolcatalog import Examples
from assistant.toolfolder import FolderTools
from assistant.toolresults import failure
from assistant.toolsource import ToolInfo, ToolResult, ToolSource, Trouble


@dataclass(frozen=True)
class _Merged:
    """What the sources say at one time."""

    owners: Mapping[str, tuple[ToolInfo, ToolSource]]
    troubles: tuple[Trouble, ...]


class Toolbox:
    """Merges sources. A name that two of them have is offered by neither. For any thread."""

    def __init__(self, sources: Sequence[ToolSource]) -> None:
        self._sources = tuple(sources)
        self._lock = threading.Lock()
        self._seen: object = None
        self._revision = 0

    @property
    def revision(self) -> int:
        """Another number whenever the tools, the troubles or the examples are others."""
        now = (self.tools(), self.troubles(), self.examples())
        with self._lock:
            if now != self._seen:
                self._seen = now
                self._revision += 1
            return self._revision

    def tools(self) -> tuple[ToolInfo, ...]:
        """By name, so that the same tools make the same prompt."""
        found = self._merge().owners.values()
        return tuple(sorted((info for info, _ in found), key=lambda info: info.name))

    def troubles(self) -> tuple[Trouble, ...]:
        return self._merge().troubles

    def examples(self) -> Mapping[str, Examples]:
        """How each tool's examples went, by its name; only a folder's tools have any."""
        folders = [source for source in self._sources if isinstance(source, FolderTools)]
        return {name: each for folder in folders for name, each in folder.examples().items()}

    def find(self, name: str) -> ToolInfo | None:
        found = self._merge().owners.get(name)
        return found[0] if found else None

    def call(
        self,
        name: str,
        arguments: Mapping[str, object],
        folder: Path,
        cancelled: threading.Event,
    ) -> ToolResult:
        """Runs one call; every fault of the tool is a result, and so is its absence."""
        found = self._merge().owners.get(name)
        if found is None:
            return failure("UnknownTool", f"There is no tool {name}.")
        return found[1].call(name, arguments, folder, cancelled)

    def close(self) -> None:
        for source in self._sources:
            source.close()

    def _merge(self) -> _Merged:
        offers = [(info, source) for source in self._sources for info in source.tools()]
        counts = Counter(info.name for info, _ in offers)
        doubles = [
            Trouble.of(info.source, ToolOfferedTwice(name=info.name))
            for info, _ in offers
            if counts[info.name] > 1
        ]
        troubles = [trouble for source in self._sources for trouble in source.troubles()]
        owners = {info.name: (info, source) for info, source in offers if counts[info.name] == 1}
        return _Merged(owners, (*troubles, *doubles))

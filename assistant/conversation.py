"""A conversation: what was said, what is set, and the answer in the making. In memory for now."""

import secrets
import threading
from collections.abc import Sequence

from assistant.access.visitor import Access, Visitor
from assistant.errors import AnswerRunning
from assistant.jobs import Job
from assistant.messages import Message
from assistant.settings import ChatSettings, Mode


class Conversation:
    """`messages` are those before the answer that `job` is writing, if there is one.

    `owner` is the name of the visitor whose it is, "" of one at this machine who has none.
    Any thread may read. Who changes it holds `lock` meanwhile. `revision` grows with every
    change, so that a page can tell whether it shows the latest.
    """

    def __init__(self, mode: Mode = Mode.CHAT, owner: str = "") -> None:
        self.mode = mode
        self.owner = owner
        self.id = secrets.token_urlsafe(16)  # at the machine itself it is all that protects it
        self.lock = threading.RLock()
        self.messages: tuple[Message, ...] = ()
        self.settings = ChatSettings(tools_on=mode is Mode.TOOLS, code_on=mode is Mode.INTERPRETER)
        self.uploaded: dict[str, str] = {}  # files the model has not been told of; first lines
        self.job: Job | None = None
        self.revision = 0

    def is_for(self, visitor: Visitor) -> bool:
        """What was said at the machine is also the operators', who signed in by name."""
        if not self.owner:
            return visitor.access is Access.OPERATOR
        return visitor.name == self.owner

    def check_idle(self) -> None:
        if self.job is not None:
            raise AnswerRunning()

    def begin(self, kept: tuple[Message, ...], job: Job) -> None:
        with self.lock:
            self.messages, self.job = kept, job
            self.revision += 1

    def commit(self, job: Job, answer: tuple[Message, ...]) -> None:
        """Takes a finished answer in, unless its job was dropped in the meantime."""
        with self.lock:
            if self.job is job:
                self.messages, self.job = (*self.messages, *answer), None
                self.revision += 1

    def revise(self, job: Job, messages: tuple[Message, ...]) -> None:
        """Ends a job that wrote no answer, but changed what was said."""
        with self.lock:
            if self.job is job:
                self.messages, self.job = messages, None
                self.revision += 1

    def append(self, messages: Sequence[Message]) -> None:
        with self.lock:
            self.messages = (*self.messages, *messages)
            self.revision += 1

    def clear(self) -> None:
        with self.lock:
            job, self.job = self.job, None
            self.messages = ()
            self.uploaded = {}
            self.revision += 1
        if job is not None:
            job.cancel()

    def view(self) -> tuple[int, tuple[Message, ...], Job | None]:
        """Revision, messages and job, of one moment."""
        with self.lock:
            return self.revision, self.messages, self.job

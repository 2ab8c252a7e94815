"""All conversations there are, and whose each is. In memory for now."""

import threading
from collections import OrderedDict
from collections.abc import Callable

from assistant.access.visitor import Visitor
from assistant.conversation import Conversation
from assistant.errors import UnknownConversation
from assistant.settings import Mode

MAX_CONVERSATIONS = 1000  # of one owner: every opened page makes one; the oldest idle ones go


class Conversations:
    """`forget` is told of each that is dropped. Safe to use from any thread."""

    def __init__(self, forget: Callable[[str], None]) -> None:
        self._forget = forget
        self._all: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    def new(self, mode: Mode, owner: str) -> Conversation:
        conversation = Conversation(mode, owner)
        with self._lock:
            self._all[conversation.id] = conversation
            self._forget_oldest(owner)
        return conversation

    def get(self, conversation_id: str) -> Conversation:
        """One whose id does not come from outside, or has been checked."""
        with self._lock:
            return self._known(conversation_id)

    def of(self, visitor: Visitor, conversation_id: str) -> Conversation:
        """Somebody else's is as unknown as one that does not exist."""
        with self._lock:
            found = self._known(conversation_id)
            if not found.is_for(visitor):
                raise UnknownConversation()
            self._all.move_to_end(conversation_id)
            return found

    def _known(self, conversation_id: str) -> Conversation:
        if conversation_id not in self._all:
            raise UnknownConversation()
        return self._all[conversation_id]

    def _forget_oldest(self, owner: str) -> None:
        """Only the owner's own: nobody can drive out what is somebody else's."""
        own = [each for each in self._all.values() if each.owner == owner]
        idle = [each.id for each in own if each.job is None]
        for oldest in idle[: max(len(own) - MAX_CONVERSATIONS, 0)]:
            del self._all[oldest]
            self._forget(oldest)

"""The assistant: one model, many conversations."""

import threading
from collections import OrderedDict
from pathlib import Path

from assistant.conversation import Conversation
from assistant.errors import (
    EmptyQuestion,
    ModelNotReady,
    NothingToRepeat,
    UnknownConversation,
)
from assistant.jobs import Job
from assistant.loading import ModelLoader, ModelState, Ready
from assistant.messages import Message, Role
from assistant.turn import Turn

MAX_CONVERSATIONS = 1000  # every opened page makes one; the oldest idle ones are forgotten


class Assistant:
    """What pages, the API and the command line ask for answers."""

    def __init__(self, model: ModelLoader) -> None:
        self._model = model
        self._conversations: OrderedDict[str, Conversation] = OrderedDict()
        self._lock = threading.Lock()

    # The model

    @property
    def model_state(self) -> ModelState:
        return self._model.state

    def open_model(self, path: Path | None) -> None:
        self._model.open(path)

    def wait_model(self, seen: ModelState, timeout: float | None = None) -> ModelState:
        return self._model.wait_change(seen, timeout)

    def close(self) -> None:
        self._model.close()

    # Conversations

    def new_conversation(self) -> Conversation:
        conversation = Conversation()
        with self._lock:
            self._conversations[conversation.id] = conversation
            self._forget_oldest()
        return conversation

    def conversation(self, conversation_id: str) -> Conversation:
        with self._lock:
            if conversation_id not in self._conversations:
                raise UnknownConversation(id=conversation_id)
            self._conversations.move_to_end(conversation_id)
            return self._conversations[conversation_id]

    # Answers

    def ask(self, conversation_id: str, question: str) -> Job:
        """Starts an answer. If it is refused, the conversation stays as it was."""
        conversation = self.conversation(conversation_id)
        # A terminal may hand over halves of surrogate pairs, which no tokenizer takes.
        question = question.encode("utf-8", "replace").decode("utf-8").strip()
        if not question:
            raise EmptyQuestion()
        with conversation.lock:
            kept = (*conversation.messages, Message(Role.USER, question))
            return self._answer(conversation, kept)

    def regenerate(self, conversation_id: str) -> Job:
        """Writes the last answer anew."""
        conversation = self.conversation(conversation_id)
        with conversation.lock:
            _, kept = self._last_answer(conversation)
            return self._answer(conversation, kept)

    def continue_(self, conversation_id: str) -> Job:
        """Carries a cut answer on from the ids it ended with; one without any starts anew."""
        conversation = self.conversation(conversation_id)
        with conversation.lock:
            cut, kept = self._last_answer(conversation)
            if cut.ended is None or not cut.ended.was_cut:
                raise NothingToRepeat()
            return self._answer(conversation, kept, cut if cut.ids else None)

    def _last_answer(self, conversation: Conversation) -> tuple[Message, tuple[Message, ...]]:
        conversation.check_idle()
        messages = conversation.messages
        if not messages or messages[-1].role is not Role.ASSISTANT:
            raise NothingToRepeat()
        return messages[-1], messages[:-1]

    def _answer(
        self, conversation: Conversation, kept: tuple[Message, ...], cut: Message | None = None
    ) -> Job:
        conversation.check_idle()
        state = self._model.state
        if not isinstance(state, Ready):
            raise ModelNotReady()
        settings = conversation.settings
        prompt = kept if cut is None else (*kept, cut)
        if settings.system_prompt:
            prompt = (Message(Role.SYSTEM, settings.system_prompt), *prompt)
        params = settings.sampling(state.format.stop_ids)
        job = Job(Turn(state.engine, state.format, prompt, params), conversation.commit)
        conversation.begin(kept, job)
        job.start()
        return job

    def _forget_oldest(self) -> None:
        surplus = len(self._conversations) - MAX_CONVERSATIONS
        idle = [each.id for each in self._conversations.values() if each.job is None]
        for oldest in idle[: max(surplus, 0)]:
            del self._conversations[oldest]

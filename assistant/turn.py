"""One turn: from a question to the end of its answer. The only loop over the engine's events."""

from collections.abc import Iterator, Sequence

from assistant.events import Event, Progress, TextDelta, TurnFinished
from assistant.formats import ChatFormat
from assistant.messages import Ended, Message, Role
from assistant.statistics import joined
from engine import Engine, Finished, PromptProgress, SamplingParams, Token


class Turn:
    """Starts the engine when made, so that what it refuses is refused before anything changes.

    When `messages` end with the assistant's own message, that answer is carried on.
    """

    def __init__(
        self,
        engine: Engine,
        chat_format: ChatFormat,
        messages: Sequence[Message],
        params: SamplingParams,
    ) -> None:
        last = messages[-1]
        self.earlier = last if last.role is Role.ASSISTANT else Message(Role.ASSISTANT, "")
        self._context_length = engine.context_length
        self._reader = chat_format.reader()
        self._reader.feed(engine.tokenizer.decode(self.earlier.ids))
        self._ids = list(self.earlier.ids)
        self._n_shown = len(self._ids)  # ids whose text is out; a cut character's are not
        self._text = [self.earlier.content]
        self._generation = engine.generate(chat_format.encode_prompt(messages), params)

    def cancel(self) -> None:
        self._generation.cancel()

    def events(self) -> Iterator[Event]:
        for event in self._generation:
            match event:
                case PromptProgress(done, total, seconds_left):
                    yield Progress(done, total, seconds_left)
                case Token(token_id, text):
                    self._ids.append(token_id)
                    if text:
                        self._n_shown = len(self._ids)
                        yield from self._show(self._reader.feed(text))
                case Finished():
                    yield from self._finish(event)

    def answer(self, ended: Ended) -> Message:
        """The answer as far as it came."""
        ids = self._ids[: self._n_shown] if ended.was_cut else self._ids
        text = "".join(self._text)
        return Message(Role.ASSISTANT, text, self._reader.metadata, tuple(ids), ended)

    def _show(self, text: str) -> Iterator[Event]:
        if text:
            self._text.append(text)
            yield TextDelta(text)

    def _finish(self, finished: Finished) -> Iterator[Event]:
        if finished.text:
            self._n_shown = len(self._ids)
        yield from self._show(self._reader.feed(finished.text) + self._reader.flush())
        stats = finished.stats
        n_used = stats.prompt_tokens + stats.output_tokens
        before = self.earlier.ended.stats if self.earlier.ended else None
        yield TurnFinished(
            Ended(
                finished.reason,
                joined(before, stats),
                context_full=n_used >= self._context_length,
                error=finished.error,
            )
        )

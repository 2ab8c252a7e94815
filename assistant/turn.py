"""One turn: from a question to the end of its answer. The only loop over the engine's events."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from assistant.events import Event, Progress, TextDelta, TurnFinished
from assistant.formats import ChatFormat
from assistant.messages import Ended, Message, Role
from assistant.parse import Metadata, Offer, ParseEvent
from assistant.statistics import joined
from assistant.window import fit
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
        self._parser = chat_format.parser(Offer())
        self._metadata = ""
        self._text: list[str] = []
        self._ids = list(self.earlier.ids)
        self._n_shown = len(self._ids)  # ids whose text is out; a cut character's are not
        self._decoder = engine.tokenizer.stream()
        for token_id in self._ids:
            self._take(self._parser.feed(token_id, self._decoder.feed(token_id)))
        self.earlier = replace(self.earlier, content="".join(self._text))
        window = fit(chat_format, messages, (), engine.context_length, params.max_new_tokens)
        self.dropped_turns = window.dropped_turns
        self._generation = engine.generate(window.prompt, params)

    def cancel(self) -> None:
        self._generation.cancel()

    def events(self) -> Iterator[Event]:
        for event in self._generation:
            match event:
                case PromptProgress(done, total, seconds_left):
                    yield Progress(done, total, seconds_left)
                case Token(token_id, text):
                    text = self._joined(token_id, text)
                    self._ids.append(token_id)
                    if text:
                        self._n_shown = len(self._ids)
                    yield from self._take(self._parser.feed(token_id, text))
                case Finished():
                    yield from self._finish(event)

    def answer(self, ended: Ended) -> Message:
        """The answer as far as it came."""
        ids = self._ids[: self._n_shown] if ended.was_cut else self._ids
        text = "".join(self._text)
        return Message(Role.ASSISTANT, text, self._metadata, tuple(ids), ended)

    def _joined(self, token_id: int, text: str) -> str:
        """The text of an id; an answer that is carried on keeps the blank before its next word.

        The engine takes it off the first piece, as from any beginning of a text.
        """
        if len(self._ids) == len(self.earlier.ids) > 0:
            whole = self._decoder.feed(token_id)
            return whole if whole == " " + text else text
        return text

    def _take(self, events: Sequence[ParseEvent]) -> list[TextDelta]:
        """What of an answer is text."""
        shown: list[TextDelta] = []
        for event in events:
            if isinstance(event, Metadata):
                self._metadata = event.text
                if self._text:
                    shown.append(TextDelta("\n\n"))
            elif isinstance(event, TextDelta):
                shown.append(event)
        self._text += [delta.text for delta in shown]
        return shown

    def _finish(self, finished: Finished) -> Iterator[Event]:
        if finished.text:
            self._n_shown = len(self._ids)
        yield from self._take(self._parser.finish(finished.stop_id, finished.text))
        stats = finished.stats
        n_used = stats.prompt_tokens + stats.output_tokens
        before = self.earlier.ended.stats if self.earlier.ended else None
        yield TurnFinished(
            Ended(
                finished.reason,
                joined(before, stats),
                context_full=n_used >= self._context_length,
                error=finished.error,
                dropped_turns=self.dropped_turns,
            )
        )

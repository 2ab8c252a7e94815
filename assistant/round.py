"""One round: what the model writes until it stops. The only loop over the engine's events."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from assistant.calls import Call, CallError, CodeCall, ToolCall
from assistant.events import CallDelta, Event, Progress, TextDelta
from assistant.formats import ChatFormat
from assistant.messages import Ended, Message, Role
from assistant.parse import Metadata, Offer, ParseEvent
from engine import Constraint, Engine, Finished, PromptProgress, SamplingParams, Token


@dataclass(frozen=True)
class Model:
    """Who writes, in which format, and how it chooses its words."""

    engine: Engine
    format: ChatFormat
    params: SamplingParams


class Round:
    """Starts the engine when made. `earlier` is an answer to be carried on."""

    def __init__(
        self,
        model: Model,
        prompt: Sequence[int],
        offer: Offer,
        earlier: Message | None = None,
        constraint: Constraint | None = None,
    ) -> None:
        self.calls: list[Call] = []
        self._metadata = ""
        self._text: list[str] = []
        self._ids = list(earlier.ids) if earlier else []
        self._n_earlier = self._n_shown = len(self._ids)  # shown: a cut character's ids are not
        self._parser = model.format.parser(offer)
        self._decoder = model.engine.tokenizer.stream()
        for token_id in self._ids:
            self._take(self._parser.feed(token_id, self._decoder.feed(token_id)))
        self.earlier_text = "".join(self._text)
        self._generation = model.engine.generate(prompt, model.params, constraint)

    def cancel(self) -> None:
        self._generation.cancel()

    def run(self, report: Callable[[Event], None]) -> Finished:
        """Reads the engine to its end."""
        for event in self._generation:
            match event:
                case PromptProgress(done, total, seconds_left):
                    report(Progress(done, total, seconds_left))
                case Token(token_id, text):
                    text = self._joined(token_id, text)
                    self._ids.append(token_id)
                    if text:
                        self._n_shown = len(self._ids)
                    self._report(self._parser.feed(token_id, text), report)
                case Finished():
                    break
        assert isinstance(event, Finished)  # a generation always says that it is over
        if event.text:
            self._n_shown = len(self._ids)
        self._report(self._parser.finish(event.stop_id, event.text), report)
        return event

    def message(self, ended: Ended | None) -> Message:
        """The answer as far as it came."""
        cut = ended is not None and ended.was_cut
        ids = self._ids[: self._n_shown] if cut else self._ids
        return Message(Role.ASSISTANT, "".join(self._text), self._metadata, tuple(ids), ended)

    def _joined(self, token_id: int, text: str) -> str:
        """The text of an id; an answer that is carried on keeps the blank before its next word.

        The engine takes it off the first piece, as from any beginning of a text.
        """
        if len(self._ids) == self._n_earlier > 0:
            whole = self._decoder.feed(token_id)
            return whole if whole == " " + text else text
        return text

    def _report(self, events: Sequence[ParseEvent], report: Callable[[Event], None]) -> None:
        for event in self._take(events):
            report(event)

    def _take(self, events: Sequence[ParseEvent]) -> list[TextDelta | CallDelta]:
        """What of an answer is text, and what is a call."""
        shown: list[TextDelta | CallDelta] = []
        for event in events:
            match event:
                case Metadata(text):
                    self._metadata = text
                    if self._text:
                        shown.append(TextDelta("\n\n"))
                case TextDelta() | CallDelta():
                    shown.append(event)
                case ToolCall() | CodeCall() | CallError():
                    self.calls.append(event)
        self._text += [delta.text for delta in shown if isinstance(delta, TextDelta)]
        return shown

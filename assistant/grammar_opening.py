"""Where in a free answer a call begins, and the grammar of what is left of it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from assistant.callform import CallForm, CallSyntax
from assistant.grammar_schema import Rules
from assistant.grammar_values import quoted
from assistant.grammar_vocabulary import Mask, Vocabulary

_LONGEST = 400  # bytes of an opening
_COMMA = r"/[ \t\r\n]{0,8},[ \t\r\n]{0,8}/"  # as it may stand where a call has just begun


@dataclass(frozen=True)
class Opening:
    """Of a call that has become certain: what stands `behind` that in the same token already.

    `name` is the tool's, if that is certain too.
    """

    form: CallForm
    behind: bytes
    name: str


class _Place:
    """Where the calls of one form begin. `words` are what makes them certain with `last`."""

    def __init__(self, form: CallForm, words: Sequence[str]) -> None:
        opens = form.opens.encode()
        parts = {word[:n] for word in words for n in range(1, len(word) + 1)}
        self.form = form
        self.words = words
        self.whole = re.compile(opens + _any_of(words) + re.escape(form.last.encode()), re.M)
        self.part = re.compile(opens + _any_of(parts) + rb"\Z", re.M)


class Watch:
    """Reads an answer's tokens and tells when a call has begun for certain.

    `names` are the tools whose calls are held to a grammar, `lines` what a header may be.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        syntax: CallSyntax,
        names: Sequence[str],
        lines: Sequence[str],
    ) -> None:
        self._places = [_Place(form, [form.mark] if form.mark else names) for form in syntax.forms]
        self._headers = _Place(syntax.forms[0], lines) if syntax.header else None
        self._vocabulary = vocabulary
        self.restart()

    def restart(self, before: bytes = b"") -> None:
        """`before` is what stands in the same line before what comes next."""
        self._text = bytearray(before)

    def read(self, token: int) -> Opening | None:
        marker = self._vocabulary.markers.get(token)
        piece = marker.encode() if marker else self._vocabulary.pieces[token]
        if not piece:  # a control token begins another message
            self.restart()
            return None
        n_before = len(self._text)
        self._text += piece
        for place in self._places:
            found = place.whole.search(self._text, max(0, n_before - _LONGEST))
            if found and found.end() > n_before:
                name = "" if place.form.mark else found["word"].decode()
                return Opening(place.form, bytes(self._text[found.end() :]), name)
        return None

    def allowed(self) -> Mask | None:
        """What may come next: a call that is all but certain must be one that can go on."""
        start = max(0, len(self._text) - _LONGEST)
        if self._headers and (found := self._headers.part.search(self._text, start)):
            lines = (f"{line}\n".encode() for line in self._headers.words)
            return self._vocabulary.spelling(_rests(lines, found["word"]))
        for place in self._places:
            if found := place.part.search(self._text, start):
                words = (word.encode() for word in place.words)
                rests = _rests(words, found["word"])
                return self._vocabulary.well_joined(rests, place.form.last, place.form.joined)
        return None


def call_grammar(syntax: CallSyntax, form: CallForm, tools: Mapping[str, Rules]) -> str:
    """A whole call of one of the tools."""
    return _grammar(_terms(form.before, syntax.markers), tools, form, syntax)


def rest_grammar(syntax: CallSyntax, opening: Opening, tools: Mapping[str, Rules]) -> str:
    """What is left of a call behind where it was certain."""
    form = opening.form
    if not opening.name:
        rest = form.before.removeprefix(form.mark + form.last)
        return _grammar(_terms(rest, syntax.markers), tools, form, syntax)
    rest = form.between.removeprefix(form.last)
    comma = [_COMMA] if rest.startswith(", ") else []
    terms = [*comma, *_terms(rest.removeprefix(", "), syntax.markers)]
    rules = tools[opening.name]
    ending = _terms(form.behind, syntax.markers)
    return f"start: {' '.join([*terms, rules.start, *ending])}\n{rules.text}"


def _grammar(
    terms: list[str], tools: Mapping[str, Rules], form: CallForm, syntax: CallSyntax
) -> str:
    choices = [f"{quoted(name + form.between)} {rules.start}" for name, rules in tools.items()]
    ending = _terms(form.behind, syntax.markers)
    start = " ".join([*terms, f"({' | '.join(choices)})", *ending])
    return "\n".join([f"start: {start}", *(rules.text for rules in tools.values())])


def _terms(text: str, markers: Mapping[str, int]) -> list[str]:
    """Text as a grammar has it, markers by their ids."""
    names = "|".join(map(re.escape, markers))
    parts = re.split(f"({names})", text) if names else [text]
    return [f"<[{markers[part]}]>" if part in markers else quoted(part) for part in parts if part]


def _any_of(words: Iterable[str]) -> bytes:
    longest_first = sorted(words, key=len, reverse=True)
    return b"(?P<word>%s)" % "|".join(map(re.escape, longest_first)).encode()


def _rests(words: Iterable[bytes], begun: bytes) -> list[bytes]:
    return [word[len(begun) :] for word in words if word.startswith(begun)]

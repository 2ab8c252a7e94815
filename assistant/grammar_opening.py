"""Where in a free answer a call begins, and the grammar of what is left of it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assistant.callform import CallForm, CallSyntax
from assistant.grammar_schema import Rules
from assistant.grammar_values import quoted
from assistant.grammar_vocabulary import Vocabulary

_LONGEST = 400  # bytes of an opening


@dataclass(frozen=True)
class Opening:
    """`tokens` are those written of the call, `written` their text up to where it was certain.

    `rest` is what the form has next: before the arguments, or, without a `name`, before that.
    """

    form: CallForm
    tokens: Sequence[int]
    written: str
    rest: str
    name: str


class Watch:
    """Reads an answer's tokens and tells when a call has begun for certain."""

    def __init__(self, vocabulary: Vocabulary, syntax: CallSyntax, names: Sequence[str]) -> None:
        choice = "|".join(re.escape(name) for name in sorted(names, reverse=True))
        self._patterns = [
            (form, re.compile(form.begins.replace("NAMES", choice).encode(), re.M))
            for form in syntax.forms
        ]
        self._vocabulary = vocabulary
        self.restart()

    def restart(self) -> None:
        self._text = bytearray()
        self._tokens: list[int] = []
        self._starts: list[int] = []

    def read(self, token: int) -> Opening | None:
        marker = self._vocabulary.markers.get(token)
        piece = marker.encode() if marker else self._vocabulary.pieces[token]
        if not piece:  # a control token begins another message
            self.restart()
            return None
        n_before = len(self._text)
        self._text += piece
        self._tokens.append(token)
        self._starts.append(n_before)
        for form, pattern in self._patterns:
            found = pattern.search(self._text, max(0, n_before - _LONGEST))
            if found and found.end() > n_before:
                return self._opening(form, found)
        return None

    def _opening(self, form: CallForm, found: re.Match[bytes]) -> Opening | None:
        begin = found.end() - len(found[0].lstrip())
        first = max(i for i, start in enumerate(self._starts) if start <= begin)
        try:
            written = self._text[self._starts[first] : found.end()].decode()
            name = (found.groupdict().get("name") or b"").decode()
        except UnicodeDecodeError:  # the rest of a character stands right before it
            return None
        certain = found[0].lstrip().decode()
        rest = form.between[1:] if name else form.before.removeprefix(certain)
        return Opening(form, self._tokens[first:], written, rest, name)


def call_grammar(syntax: CallSyntax, form: CallForm, tools: Mapping[str, Rules]) -> str:
    """A whole call of one of the tools."""
    return _grammar(_terms(form.before, syntax.markers), tools, form, syntax)


def rest_grammar(syntax: CallSyntax, opening: Opening, tools: Mapping[str, Rules]) -> str:
    """A call of which the opening has been written, in whatever tokens."""
    spelled_out = not set(opening.tokens) & set(syntax.markers.values())
    terms = _terms(opening.written, {} if spelled_out else syntax.markers)
    terms += _terms(opening.rest, syntax.markers)
    if not opening.name:
        return _grammar(terms, tools, opening.form, syntax)
    rules = tools[opening.name]
    ending = _terms(opening.form.behind, syntax.markers)
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

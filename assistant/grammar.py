"""Calls that cannot fail to parse: once a call has begun, only what its tool's schema lets through
can be written, in the model's own syntax.

Ordinary answers stay free: unless a call is required, nothing is held back until its opening is
certain. A schema that cannot be followed leaves its tool unconstrained and is logged.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from functools import lru_cache

from llguidance import LLMatcher

from assistant.callform import CallSyntax, Spelling
from assistant.formats import ChatFormat
from assistant.grammar_call import LIMITS, OpenCall
from assistant.grammar_opening import Opening, Watch, call_grammar, rest_grammar
from assistant.grammar_reading import Unsupported
from assistant.grammar_schema import Rules, arguments_rules
from assistant.grammar_vocabulary import Mask, Vocabulary, only, vocabulary_of
from assistant.toolchoice import ChoiceMode, ToolChoice
from assistant.toolspec import ToolSpec
from engine import Constraint, Tokenizer

log = logging.getLogger(__name__)

_RESERVE = 24  # tokens kept for the end of a call, besides its arguments' names


def prepare(chat_format: ChatFormat, tokenizer: Tokenizer) -> None:
    """Does ahead of the first constraint what takes long about it. Never raises."""
    try:
        syntax = chat_format.call_syntax()
        if syntax:
            vocabulary_of(tokenizer, syntax)
    except Exception:  # its thread has a model to start, with or without this
        log.exception("calls will not be constrained")


def constraint_for(
    chat_format: ChatFormat,
    tokenizer: Tokenizer,
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    *,
    code: bool = False,
) -> Constraint | None:
    """The rule for one answer, from its first token; None where there is nothing to hold to.

    `code` is whether the model may write code to be run, too.
    """
    try:
        return _constraint(chat_format, tokenizer, tools, choice, code)
    except Exception:  # a call that may fail is better than an answer that cannot be had
        log.exception("calls are not constrained")
        return None


def _constraint(
    chat_format: ChatFormat,
    tokenizer: Tokenizer,
    tools: Sequence[ToolSpec],
    choice: ToolChoice,
    code: bool,
) -> Constraint | None:
    syntax = chat_format.call_syntax()
    if syntax is None:
        return None
    if choice.mode is ChoiceMode.NONE:
        return _Never(tokenizer.vocab_size, syntax) if syntax.markers else None
    offered = [tool for tool in tools if choice.name in ("", tool.name)]
    spellings = {form.spelling for form in syntax.forms}
    rules = {
        tool.name: found
        for index, tool in enumerate(offered)
        for spelling in spellings
        if (found := _rules(tool, spelling, f"t{index}v"))
    }
    if not rules:
        return None
    lines = [*(tool.name for tool in offered), *(syntax.beside if code else ())]
    vocabulary = vocabulary_of(tokenizer, syntax)
    return CallConstraint(vocabulary, syntax, rules, lines, choice.must_call)


class CallConstraint:
    """Free text and constrained calls by turns; a call first, where one is required."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        syntax: CallSyntax,
        tools: Mapping[str, Rules],
        lines: Sequence[str],
        must_call: bool,
    ) -> None:
        self._vocabulary = vocabulary
        self._syntax = syntax
        self._tools = tools
        self._must_call = must_call
        self._watch = Watch(vocabulary, syntax, list(tools), lines)
        self._call = self._begin(None) if must_call else None
        self._n_read = 0
        self._ended = False

    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        for token in output[self._n_read :]:
            self._read(token)
        self._n_read = len(output)
        if self._ended:
            return self._vocabulary.ends
        if self._call is None:
            return self._watch.allowed()
        mask = self._call.allowed(left)
        if mask is None:
            self._give_up(self._call)
        return mask

    def _read(self, token: int) -> None:
        if self._ended:
            return
        if self._call is None:
            opening = self._watch.read(token)
            self._call = self._begin(opening) if opening else None
        else:
            self._call.read([token])
        if self._call and self._call.complete:
            self._call = None
            self._watch.restart(before=b"}")
            self._ended = self._must_call or not self._syntax.several
        elif self._call and self._call.error:
            self._give_up(self._call)

    def _begin(self, opening: Opening | None) -> OpenCall:
        syntax, tools = self._syntax, self._tools
        if opening is None:
            grammar = call_grammar(syntax, syntax.forms[0], tools)
        else:
            grammar = rest_grammar(syntax, opening, tools)
        named = [tools[opening.name]] if opening and opening.name else tools.values()
        reserve = _RESERVE + max(rules.weight for rules in named)
        call = OpenCall(self._vocabulary, grammar, reserve)
        if opening:
            call.read_bytes(opening.behind)
        return call

    def _give_up(self, call: OpenCall) -> None:
        log.warning("a call goes on unconstrained: %s", call.error)
        self._call = None


class _Never:
    """Keeps a call's opening token out."""

    def __init__(self, vocab_size: int, syntax: CallSyntax) -> None:
        self._mask = ~only(vocab_size, syntax.markers.values())

    def allowed(self, output: Sequence[int], left: int) -> Mask:
        return self._mask


def _rules(tool: ToolSpec, spelling: Spelling, prefix: str) -> Rules | None:
    try:
        return _checked_rules(json.dumps(tool.parameters), spelling, prefix)
    except (Unsupported, TypeError, RecursionError) as error:
        log.warning("calls of %s are not constrained: %s", tool.name, error)
        return None


@lru_cache(maxsize=512)
def _checked_rules(schema_json: str, spelling: Spelling, prefix: str) -> Rules:
    rules = arguments_rules(schema_json, spelling, prefix)
    grammar = f"start: {rules.start}\n{rules.text}"
    problem = LLMatcher.validate_grammar(grammar, None, limits=LIMITS)
    if problem:
        raise Unsupported(problem)
    return rules

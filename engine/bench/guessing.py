"""What guessing ahead gains: the same texts answered with it and without, in turn."""

import statistics
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.bench.row import Bench, Row, Sizes
from engine.bench.texts import TEXTS, Text
from engine.bench.timeline import Timeline, run
from engine.config import SamplingParams
from engine.engine import Engine
from engine.errors import EngineError
from engine.kernels.dot import TILE
from engine.lookup import Guesser
from engine.tokenizer import Tokenizer

_SYSTEM = "You are a helpful assistant."
_UNIT = "times as fast"


class AnswersDiffer(EngineError):
    template = "Guessing changed the answer to '{text}' at its token {at}, which it never may."


class NotAnswered(EngineError):
    template = "The model says nothing to '{text}', so its speed cannot be measured."


@dataclass(frozen=True)
class Guesses:
    """How an answer came: tokens guessed, those that were right, steps for all of it."""

    guessed: int
    right: int
    steps: int


def lookup(bench: Bench, sizes: Sizes) -> Iterator[Row]:
    """Each text, then those that repeat their context together, and the others together."""
    output = max(sizes.outputs)
    rounds = f"one warm-up, then {bench.repeat} rounds, with guessing and without in turn"
    bench.say(f"lookup, {len(TEXTS)} texts, at most {output} tokens each: {rounds}")
    measured = {text: _Answers(bench, text, output) for text in TEXTS}
    for answers in measured.values():
        yield answers.row()
    for repeats, what in ((True, "repeating texts together"), (False, "other texts together")):
        kind = [answers for text, answers in measured.items() if text.repeats is repeats]
        without = [sum(each) for each in zip(*(answers.without for answers in kind), strict=True)]
        guessing = [sum(each) for each in zip(*(answers.guessing for answers in kind), strict=True)]
        yield Row("lookup", what, _UNIT, _ratios(without, guessing))


class _Answers:
    """One text's answers, each round one with guessing and one without; times in seconds."""

    def __init__(self, bench: Bench, text: Text, output: int) -> None:
        engine = self._engine = bench.engine
        prompt = prompt_of(engine.tokenizer, text)
        self._text = text
        self._prompt = prompt[-bench.fitting(len(prompt), output) :]
        ends = engine.tokenizer.special("<|im_end|>")
        stop = frozenset[int]() if ends is None else frozenset({ends})
        self._params = SamplingParams(temperature=0, max_new_tokens=output, stop_ids=stop)
        self._ids = self._answer(guessing=True).ids  # a warm-up; it reads the prompt
        if not self._ids:
            raise NotAnswered(text=text.name)
        self.guessing, self.without = [], []
        for _ in range(bench.repeat):
            self.guessing.append(self._seconds(guessing=True))
            self.without.append(self._seconds(guessing=False))

    def _answer(self, *, guessing: bool) -> Timeline:
        with _guessing(self._engine, guessing):
            (line,) = run(self._engine, [self._prompt], self._params)
        return line

    def _seconds(self, *, guessing: bool) -> float:
        line = self._answer(guessing=guessing)
        if line.ids != self._ids:
            at = _first_difference(line.ids, self._ids)
            raise AnswersDiffer(text=self._text.name, at=at)
        return line.seconds

    def row(self) -> Row:
        count = len(self._ids)
        fast, slow = (count / statistics.median(each) for each in (self.guessing, self.without))
        found = replay(self._prompt, self._ids, self._params.max_new_tokens)
        share = f"{found.right / found.guessed:.0%} of " if found.guessed else ""
        note = (
            f"{fast:.1f} instead of {slow:.1f} tokens/s, {share}{found.guessed} guesses right, "
            f"{found.steps} steps"
        )
        what = f"{self._text.name}, {count} tokens"
        return Row("lookup", what, _UNIT, _ratios(self.without, self.guessing), note=note)


def prompt_of(tokenizer: Tokenizer, text: Text) -> list[int]:
    """In ChatML where the model has its marks, else as plain text."""
    start, end = tokenizer.special("<|im_start|>"), tokenizer.special("<|im_end|>")
    if start is None or end is None:
        return tokenizer.encode(text.question)
    newline, prompt = tokenizer.encode("\n"), list[int]()
    for said in (f"system\n{_SYSTEM}", f"user\n{text.question}"):
        prompt += [start, *tokenizer.encode(said), end, *newline]
    return [*prompt, start, *tokenizer.encode("assistant\n")]


def replay(prompt: Sequence[int], answer: Sequence[int], limit: int) -> Guesses:
    """What the engine guessed: its guesser says the same again to the same tokens."""
    guesser = Guesser([*prompt, answer[0]])
    guessed, right, steps, done = 0, 0, 1, 1  # the first token comes of reading the prompt
    while done < len(answer):
        guess = guesser.guess(min(TILE - 1, limit - done - 1))
        kept = _first_difference(guess, answer[done:])
        if guess:
            guesser.judge(len(guess), kept)
        guesser.extend(answer[done : done + kept + 1])
        guessed, right = guessed + len(guess), right + kept
        steps, done = steps + 1, done + kept + 1
    return Guesses(guessed, right, steps)


@contextmanager
def _guessing(engine: Engine, on: bool) -> Iterator[None]:
    """One engine for both: another one's weights lie elsewhere, and may be read less fast."""
    before = engine._speculates
    engine._speculates = on
    try:
        yield
    finally:
        engine._speculates = before


def _first_difference(some: Sequence[int], others: Sequence[int]) -> int:
    pairs = zip(some, others, strict=False)
    same = min(len(some), len(others))
    return next((at for at, (one, other) in enumerate(pairs) if one != other), same)


def _ratios(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, ...]:
    return tuple(one / other for one, other in zip(slow, fast, strict=True))

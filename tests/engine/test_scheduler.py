"""Who takes part in a step: decisions over records, without a model."""

from collections.abc import Sequence

import pytest
from pieces import pieces_tokenizer

from engine.config import SamplingParams
from engine.kernels.attention import PAGE
from engine.lookup import Guesser
from engine.request import Request
from engine.sampling import make_sampler
from engine.scheduler import PATIENCE, Scheduler
from engine.textstream import TextStream

CHUNK, CONTEXT = 100, 1000
FAST = 1e9  # tokens read a second


def request(prompt: int, max_new_tokens: int = 10) -> Request:
    params = SamplingParams(max_new_tokens=max_new_tokens)
    text = TextStream(pieces_tokenizer([b"a"]), ())
    return Request([0] * prompt, params, frozenset(), make_sampler(params, 1), text)


def answering(prompt: int = 5) -> Request:
    """One that has read its prompt and has chosen a token."""
    record = request(prompt)
    record.prefix.tokens += record.prompt
    record.accept(0, CONTEXT)
    return record


def scheduler(*requests: Request, sequences: int = 4, pages: int = 1000) -> Scheduler:
    line = Scheduler(sequences, CHUNK, pages, CONTEXT)
    line.waiting.extend(requests)
    return line


def planned(line: Scheduler, rate: float = FAST) -> Sequence[tuple[Request, int, bool]]:
    shares = line.plan(rate)
    return [(share.request, len(share.tokens), share.wants_logits == 1) for share in shares]


def test_requests_are_admitted_in_order_up_to_the_most_sequences() -> None:
    first, second, third = (request(5) for _ in range(3))
    line = scheduler(first, second, third, sequences=2)
    assert line.admit() == line.running == [first, second]
    assert list(line.waiting) == [third]
    line.remove(first)
    assert line.admit() == [third]


def test_a_request_waits_until_all_the_pages_it_may_need_are_sure_to_be_had() -> None:
    first, second = request(PAGE - 10, 10), request(2 * PAGE, 1)
    line = scheduler(first, second, pages=3)
    assert line.admit() == [first]
    line.remove(first)
    assert line.admit() == [second]


def test_a_short_request_does_not_overtake_a_long_one() -> None:
    first, long, short = request(PAGE), request(9 * PAGE), request(1)
    line = scheduler(first, long, short, pages=10)
    assert line.admit() == [first]


def test_a_request_alone_is_admitted_whatever_it_may_need() -> None:
    greedy = request(5, max_new_tokens=10**6)
    assert scheduler(greedy, pages=1).admit() == [greedy]


def test_a_prompt_is_read_in_chunks_and_the_last_gives_a_token() -> None:
    record = request(250)
    line = scheduler(record)
    line.admit()
    read = []
    while record.reading:
        ((_, count, last),) = planned(line)
        read.append((count, last))
        record.prefix.tokens += [0] * count
    assert read == [(100, False), (100, False), (50, True)]


def test_several_prompts_share_a_chunk_oldest_first() -> None:
    first, second, third = request(70), request(70), request(70)
    line = scheduler(first, second, third)
    line.admit()
    assert planned(line) == [(first, 70, True), (second, 30, False)]


def test_everyone_who_is_answering_gets_a_token_in_every_step() -> None:
    one, two, reader = answering(), answering(), request(500)
    line = scheduler(reader, one, two)
    line.admit()
    assert planned(line) == [(one, 1, True), (two, 1, True), (reader, CHUNK, False)]


@pytest.mark.parametrize(("rate", "most"), [(200.0, 44), (0.0, 8), (10.0, 8), (FAST, CHUNK)])
def test_reading_does_not_delay_running_answers_beyond_patience(rate: float, most: int) -> None:
    assert PATIENCE == 0.22
    reader, answer = request(500), answering()
    line = scheduler(answer, reader)
    line.admit()
    assert planned(line, rate) == [(answer, 1, True), (reader, most, False)]


def guessing() -> Request:
    """One that is answering with what stood before."""
    record = answering()
    record.guesser = Guesser([*range(20), 0, 1, 2])
    return record


def test_an_answer_alone_guesses_and_beside_others_only_from_what_has_come_true() -> None:
    one, two = guessing(), guessing()
    line = scheduler(one, two)
    line.running.append(one)
    assert [share.guesses for share in line.plan(FAST)] == [[3, 4, 5]]
    line.running.append(two)
    assert [share.guesses for share in line.plan(FAST)] == [[], []]
    assert two.guesser is not None
    two.guesser.extend([3])
    assert [share.guesses for share in line.plan(FAST)] == [[], [4, 5, 6]]


def test_long_prompts_come_last_in_a_step_and_stay_long_to_their_end() -> None:
    long, short = request(60), request(20)
    line = scheduler(long, short, answering())
    line.admit()
    shares = line.plan(FAST)
    assert [share.many for share in shares] == [False, False, True]
    long.cached = 55
    long.prefix.tokens.extend(long.prompt[:55])
    assert [share.many for share in line.plan(FAST) if share.request is long] == [True]


def test_nobody_answering_means_whole_chunks_however_slow_reading_is() -> None:
    reader = request(500)
    line = scheduler(reader)
    line.admit()
    assert planned(line, 1.0) == [(reader, CHUNK, False)]


def test_a_request_can_be_removed_from_the_line_too() -> None:
    first, second = request(5), request(5)
    line = scheduler(first, second, sequences=1)
    line.admit()
    line.remove(second)
    line.remove(first)
    assert not line.running
    assert not line.waiting

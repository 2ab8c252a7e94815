"""The figures of an answer that was written in more than one go."""

from dataclasses import replace

from engine import GenerationStats


def joined(before: GenerationStats | None, after: GenerationStats) -> GenerationStats:
    """One set of figures: the tokens of both, the first one's start, the speed over both."""
    if before is None:
        return after
    return replace(
        before,
        output_tokens=before.output_tokens + after.output_tokens,
        tokens_per_second=_speed(before, after),
        prefill_seconds=before.prefill_seconds + after.prefill_seconds,
    )


def _speed(*parts: GenerationStats) -> float:
    seconds = sum(p.output_tokens / p.tokens_per_second for p in parts if p.tokens_per_second > 0)
    n_tokens = sum(p.output_tokens for p in parts if p.tokens_per_second > 0)
    return n_tokens / seconds if seconds else 0.0

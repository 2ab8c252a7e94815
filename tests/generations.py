"""Generations read to their end."""

from engine import Finished, Generation, Token


def read(generation: Generation) -> tuple[list[int], Finished]:
    """The ids, and how it ended."""
    ids: list[int] = []
    for event in generation:
        if isinstance(event, Token):
            ids.append(event.id)
        if isinstance(event, Finished):
            return ids, event
    raise AssertionError("a generation ended without Finished")

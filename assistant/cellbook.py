"""A conversation as a notebook's cells, and back.

What the person said stands as a quotation, what the model said as it is, so that an import can
tell them apart.
"""

from collections.abc import Iterator, Sequence

from assistant.calls import CodeCall
from assistant.cells import cell_message, finished_cell
from assistant.codestep import CODE_LIMIT
from assistant.messages import Message, Role
from assistant.outputs import observation
from assistant.sandbox.notebook import Cell

QUOTED = "> "


def cells_of(messages: Sequence[Message]) -> list[Cell]:
    return [cell for message in messages for cell in _cells(message)]


def messages_of(cells: Sequence[Cell]) -> list[Message]:
    return [_message(cell) for cell in cells if cell.source.strip()]


def _cells(message: Message) -> Iterator[Cell]:
    step = message.step
    if step is not None:
        if isinstance(step.call, CodeCall):
            yield Cell(step.call.code, step.outputs)
    elif message.content.strip():
        text = message.typed or message.content
        if message.role is Role.USER:
            text = "\n".join(QUOTED + line for line in text.split("\n"))
        yield Cell(text, kind="markdown")


def _message(cell: Cell) -> Message:
    if cell.kind == "code":
        step = finished_cell(cell.source, cell.outputs)
        return cell_message(step, observation(cell.outputs, CODE_LIMIT))
    lines = cell.source.split("\n")
    if all(line.startswith(QUOTED.strip()) for line in lines):
        text = "\n".join(line.removeprefix(QUOTED.strip()).removeprefix(" ") for line in lines)
        return Message(Role.USER, text)
    return Message(Role.ASSISTANT, cell.source)

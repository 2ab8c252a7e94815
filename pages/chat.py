"""The chat page: a conversation without anything else."""

from assistant import Mode
from pages.parts import talk

talk.draw(Mode.CHAT)

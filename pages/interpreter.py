"""The interpreter page: the model writes Python, and it is run in this conversation's sandbox."""

from assistant import Mode
from pages.parts import talk

talk.draw(Mode.INTERPRETER)

"""The tools page: the model calls tools, and a person sees, allows or changes what it asks for."""

from assistant import Mode
from pages.parts import talk

talk.draw(Mode.TOOLS)

"""Somebody who was let in, and what they may do."""

from dataclasses import dataclass
from enum import StrEnum

# The gate sets these on every request that it lets in, and strips them from what comes in.
VISITOR_HEADER = "x-assistant-visitor"
ACCESS_HEADER = "x-assistant-access"


class Access(StrEnum):
    """A user's role. (`Role` is who speaks in a conversation.)"""

    OPERATOR = "operator"
    USER = "user"


@dataclass(frozen=True)
class Visitor:
    name: str
    access: Access
    session: str = ""  # the public id of the sign-in; empty where there is none, as with a key


LOCAL = Visitor("", Access.OPERATOR)  # somebody at this machine, where no login is needed

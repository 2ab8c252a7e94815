"""Secrets that we hand out, and what is kept of them.

A token is found by its hash, so no comparison takes longer the nearer a guess is: how an index is
searched tells something of the guess's hash, and nobody can choose what that is near to.
"""

import hashlib
import secrets

BYTES = 32


def new_token() -> str:
    """256 random bits, as they may stand in an address."""
    return secrets.token_urlsafe(BYTES)


def new_id() -> str:
    """A public name for what a token opens: nobody gets in by it."""
    return secrets.token_hex(8)


def fingerprint(token: str) -> bytes:
    """What is kept. Fast hashing is enough: 256 random bits cannot be guessed."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

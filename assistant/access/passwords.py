"""Passwords: the rules for a new one, and argon2id for what is kept of it.

A check takes about as long for a name that nobody has, or a user without a password: there it is
made against the hash of nothing in particular. Passwords are compared in Unicode's NFC, as two
keyboards may write one accented letter in two ways.
"""

import logging
import secrets
import threading
import unicodedata
from base64 import b64encode

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from assistant.errors import PasswordTooLong, PasswordTooShort

log = logging.getLogger(__name__)

LEAST_CHARACTERS = 10
MOST_BYTES = 1024

# The first of OWASP's equally strong choices: much memory, which hurts guessers most, in one pass
# and one lane, as the cores of a small server are the model's.
_HASHER = PasswordHasher(
    time_cost=1, memory_cost=46 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID
)
# One at a time: many at once would take the memory and the cores that answers are written with.
_one_at_a_time = threading.Lock()


def hash_password(password: str) -> str:
    """What is kept of a new password; refuses one that is too short or too long."""
    if len(password) < LEAST_CHARACTERS:
        raise PasswordTooShort(least=LEAST_CHARACTERS)
    secret = _bytes(password)
    if secret is None:
        raise PasswordTooLong(most=MOST_BYTES)
    with _one_at_a_time:
        return _HASHER.hash(secret)


def is_password(password: str, kept: str | None) -> bool:
    """Whether this is the password; `kept` is None where there is none, and takes as long."""
    secret = _bytes(password)
    if secret is None:
        return False
    with _one_at_a_time:
        try:
            return _HASHER.verify(kept or _nobodys(), secret) and kept is not None
        except VerificationError:
            return False
        except InvalidHashError:
            log.error("the kept hash of a password cannot be read; set the password again")
            return False


def renewed_hash(password: str, kept: str) -> str | None:
    """The hash of a password that was just right, if the kept one has other parameters."""
    secret = _bytes(password)
    if secret is None or not _HASHER.check_needs_rehash(kept):
        return None
    with _one_at_a_time:
        return _HASHER.hash(secret)


def _nobodys() -> str:
    """Looks like a hash with today's parameters, and is that of no password anybody knows."""
    salt, value = (
        b64encode(secrets.token_bytes(size)).decode().rstrip("=")
        for size in (_HASHER.salt_len, _HASHER.hash_len)
    )
    costs = f"m={_HASHER.memory_cost},t={_HASHER.time_cost},p={_HASHER.parallelism}"
    return f"$argon2id$v=19${costs}${salt}${value}"


def _bytes(password: str) -> bytes | None:
    """None for what is longer than any password may be."""
    if len(password) > MOST_BYTES:
        return None
    # A browser or a pipe may hand over half a surrogate pair; it is no reason to break down.
    secret = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return secret if len(secret) <= MOST_BYTES else None

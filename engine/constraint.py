"""What may come next: a caller's rule over token ids, applied to logits before all else."""

import logging
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConstraintFailed, NothingAllowed
from engine.sampling import Logits

log = logging.getLogger(__name__)

Mask = NDArray[np.bool_]


class Constraint(Protocol):
    """Belongs to one request. The engine's thread asks it before each token."""

    def allowed(self, output: Sequence[int], left: int) -> Mask | None:
        """Which ids may follow `output`, one truth value an id; None if any may.

        `left` is how many more tokens the request may have. A stop id takes none of them.
        """
        ...


def constrain(logits: Logits, constraint: Constraint, output: Sequence[int], left: int) -> Logits:
    """The logits with what may not come at -inf. Raises an EngineError that ends the request."""
    try:
        allowed = constraint.allowed(output, left)
    except Exception as error:  # one request's rule must not end the others
        log.exception("a constraint failed")
        raise ConstraintFailed(kind=type(error).__name__) from error
    if allowed is None:
        return logits
    if not allowed.any():
        raise NothingAllowed(count=len(output))
    return np.where(allowed, logits, np.float32(-np.inf))

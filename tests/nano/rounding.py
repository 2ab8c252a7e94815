"""The matrices as a q4_0 file gives them back, to train and to measure with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from .model import Nano


def q4_0(weight: Tensor) -> Tensor:
    """Blocks of 32 along a row, sixteen levels, the largest value exactly on the lowest."""
    blocks = weight.view(len(weight), -1, 32)
    extreme = blocks.gather(2, blocks.abs().argmax(2, keepdim=True))
    scale = torch.where(extreme == 0, torch.ones_like(extreme), extreme / -8)
    return (torch.round(blocks / scale).clamp(-8, 7) * scale).flatten(1)


@contextmanager
def through_q4_0(model: Nano) -> Iterator[None]:
    """The matrices quantized inside; gradients made there are for the unquantized ones."""
    matrices = [w for w in model.parameters() if w.ndim == 2]
    kept = [w.detach().clone() for w in matrices]
    with torch.no_grad():
        for w in matrices:
            w.copy_(q4_0(w))
    try:
        yield
    finally:
        with torch.no_grad():
            for w, original in zip(matrices, kept, strict=True):
                w.copy_(original)

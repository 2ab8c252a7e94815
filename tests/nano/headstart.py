"""First weights that can already copy, so that training starts with induction heads in place.

Left to itself a model of this size spends most of an hour on two cores finding them. The stream is
laid out in three parts: the token's own embedding, and room for the tokens one and two places back,
which layer 0 fetches. Layer 1 looks for a place that came after the present token (group 0) or
the present two (group 1), and votes for what stood there. Everything is trained from there on.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .model import Layer, Nano, SelfAttention

OWN, ONE_BACK, TWO_BACK = slice(0, 128), slice(128, 192), slice(192, 256)
N_STEEP = 6  # rotary pairs that turn fast enough to tell neighbours apart
STEEPNESS = 8.4  # of the look to a neighbour; its lead over the next place is e ** 6
MATCH, FETCH, VOTE = 2.5, 0.04, 0.2


@torch.no_grad()
def start_copying(model: Nano) -> None:
    """For 4 heads of 64 in 2 groups, hidden 256."""
    model.word_embeddings.weight[:, OWN.stop :] = 0
    model.output_layer.weight.copy_(model.word_embeddings.weight)
    seen = torch.zeros(64, 256)
    seen[:, OWN] = orthonormal(64, 128)
    fetch_neighbours(attention_of(model, 0), seen)
    vote_for_followers(attention_of(model, 1), seen)


def attention_of(model: Nano, n: int) -> SelfAttention:
    layer = model.layers[n]
    assert isinstance(layer, Layer)
    return layer.self_attention


def orthonormal(rows: int, columns: int) -> Tensor:
    """Random rows of length one, at right angles."""
    q: Tensor = torch.linalg.qr(torch.randn(columns, rows))[0]
    return q.T


def fetch_neighbours(attention: SelfAttention, seen: Tensor) -> None:
    """Heads 0 and 1 look one and two places back, by bias alone, and write what they see."""
    fused, bias = attention.query_key_value.weight, attention.query_key_value.bias
    key, value = attention.heads * 64, (attention.heads + attention.groups) * 64
    steep = 2 * N_STEEP
    angle = 10000.0 ** (-torch.arange(N_STEEP) / 16)
    bias[key : key + steep] = STEEPNESS * torch.tensor([1.0, 0.0]).repeat(N_STEEP)
    for head, room in enumerate((ONE_BACK, TWO_BACK)):
        turn = torch.polar(torch.ones(N_STEEP), -(head + 1) * angle)
        bias[head * 64 : head * 64 + steep] = STEEPNESS * torch.view_as_real(turn).flatten()
        attention.dense.weight[:, head * 64 : head * 64 + 64] = 0
        attention.dense.weight[room, head * 64 : head * 64 + 64] = FETCH * torch.eye(64)
    fused[value : value + 64] = seen


def vote_for_followers(attention: SelfAttention, seen: Tensor) -> None:
    """Heads 0 and 2 match in the 32 dims that rotary leaves alone."""
    fused = attention.query_key_value.weight
    key, value = attention.heads * 64, (attention.heads + attention.groups) * 64
    now, one_back, two_back = seen, torch.zeros(64, 256), torch.zeros(64, 256)
    one_back[:, ONE_BACK] = torch.eye(64)
    two_back[:, TWO_BACK] = torch.eye(64)
    queries = (now[:32], torch.cat((now[:16], one_back[:16])))
    keys = (one_back[:32], torch.cat((one_back[:16], two_back[:16])))
    for group, (query_rows, key_rows) in enumerate(zip(queries, keys, strict=True)):
        head = 128 * group
        fused[head + 32 : head + 64] = MATCH * query_rows
        fused[key + 64 * group + 32 : key + 64 * group + 64] = MATCH * key_rows
        voted = torch.zeros(64, 256)
        voted[:, OWN] = orthonormal(64, 128)
        fused[value + 64 * group : value + 64 * group + 64] = voted
        attention.dense.weight[:, head : head + 64] = VOTE * voted.T

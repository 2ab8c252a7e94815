"""One step of the transformer, as every thread of the team walks it.

    x = embeddings (filled in by the owner)
    per layer:  x += out @ attention(rope([query; key; value] @ norm(x)))
                x += down @ (silu(gate @ norm(x)) * (up @ norm(x)))
    logits = head @ norm(x), for the tokens that want them

All tokens of a step, of whatever sequence, go through the same products. Sizes and weights are in
`Model`, memory in `Buffers`, what this step is about in `Batch`.

Its parts are inlined, since a function that is compiled for itself has all that it calls optimised
once more: ten seconds of a first start.
"""

from collections import namedtuple
from typing import Any

from numba import njit

from engine.kernels.attention import attend, rotate_and_cache
from engine.kernels.attention_tiled import attend_long
from engine.kernels.elementwise import norm_tokens, prepare_tokens
from engine.kernels.linear import ROWS
from engine.kernels.team import await_epoch, await_helpers, barrier, finish, open_step
from engine.kernels.tiled import gated, product
from engine.kernels.vector import load_f32, store

# The matrices of a layer, in the order of the model's table.
QUERY, KEY, VALUE, OUT, GATE, UP, DOWN = range(7)
SLOTS = 7

# Phases of a layer in which threads share work, each with its counter (team.take): a product takes
# two, and `gated` four.
NORM, PROJECT, CACHE, ATTEND, LONG, PREPARE, MIX, NORM2, WIDEN, NARROW = (
    0, 1, 7, 8, 9, 10, 11, 13, 14, 18
)  # fmt: skip
PHASES = 20
HEAD_PHASES = 3

# matrices: int64 [layer][slot][field]; norms: int64 [layer][2] addresses; head: a matrix row;
# head_norm: address; heads: see attention.Heads; eps: of the norms.
Model = namedtuple("Model", "matrices norms head head_norm heads eps")

# Addresses: x [token][hidden], qkv [token][...], gate and up [token][ffn], logits [row][...] with
# `logits_stride` bytes a row; Vectors: normed, attended, inner (of the feed-forward), last (the
# tokens that want logits). rooms: int64 [thread][8]: scratch of `product` (6), `attend` and
# `attend_long`.
Buffers = namedtuple(
    "Buffers", "x qkv gate up logits logits_stride normed attended inner last rooms"
)

# counts: int64 [tokens, units, outputs, few: tokens before those that go by tiles, long]; segments,
# positions: int64 per token; pages: int64 [segment][page]; units: see attention; long: units of
# those that go by tiles, see attention_tiled; outputs: int64, the tokens that want logits.
Batch = namedtuple("Batch", "counts segments positions pages units long outputs")
TOKENS, UNITS, OUTPUTS, FEW, LONG_UNITS = range(5)


@njit(inline="always")
def _attention(isa: Any, team: Any, model: Any, b: Any, batch: Any, layer: int) -> None:
    control, threads, thread = team
    matrices, h, first = model.matrices[layer], model.heads, layer * PHASES
    tokens, room = batch.counts[TOKENS], b.rooms[thread]
    span = (batch.counts[FEW], tokens)
    width = 4 * h.head_dim * (h.heads + 2 * h.kv_heads)
    hidden = 4 * b.normed.k

    share = (control, first + NORM, threads)
    norm_tokens(share, b.x, model.norms[layer, 0], b.normed, model.eps, span)
    barrier(control, threads)
    column = b.qkv
    for slot in range(QUERY, VALUE + 1):
        if matrices[slot, ROWS] > 0:  # a fused projection is all in the first slot
            share = (control, first + PROJECT + 2 * slot, threads)
            product(isa, share, matrices[slot], b.normed, (column, width, False), span, room)
            column += 4 * matrices[slot, ROWS]
    barrier(control, threads)
    where = (batch.segments, batch.positions, batch.pages)
    rotate_and_cache((control, first + CACHE, threads), b.qkv, h, layer, where, tokens)
    barrier(control, threads)
    work = (batch.units, batch.counts[UNITS])
    share = (control, first + ATTEND, threads)
    qkv, out = (b.qkv, width), b.attended.values
    attend(share, work, h, layer, batch.pages, qkv, out, room[6])
    share, work = (control, first + LONG, threads), (batch.long, batch.counts[LONG_UNITS])
    attend_long(isa, share, work, h, layer, batch.pages, qkv, out, (room[3], room[7]))
    barrier(control, threads)
    prepare_tokens((control, first + PREPARE, threads), b.attended, span)
    barrier(control, threads)
    share = (control, first + MIX, threads)
    product(isa, share, matrices[OUT], b.attended, (b.x, hidden, True), span, room)
    barrier(control, threads)


@njit(inline="always")
def _feed_forward(isa: Any, team: Any, model: Any, b: Any, batch: Any, layer: int) -> None:
    control, threads, thread = team
    matrices, first, tokens = model.matrices[layer], layer * PHASES, batch.counts[TOKENS]
    room, span = b.rooms[thread], (batch.counts[FEW], tokens)
    hidden, inner = 4 * b.normed.k, 4 * b.inner.k

    share = (control, first + NORM2, threads)
    norm_tokens(share, b.x, model.norms[layer, 1], b.normed, model.eps, span)
    barrier(control, threads)
    share, w = (control, first + WIDEN, threads), (matrices[GATE], matrices[UP])
    gated(isa, share, w, b.normed, room, span, b.inner, (b.gate, b.up, inner))
    share = (control, first + NARROW, threads)
    product(isa, share, matrices[DOWN], b.inner, (b.x, hidden, True), span, room)
    barrier(control, threads)


@njit
def _gather_outputs(thread: int, b: Any, batch: Any) -> None:
    """The first thread brings the rows that want logits to the front of `gate`."""
    if thread != 0:
        return
    row = 4 * b.normed.k
    for i in range(batch.counts[OUTPUTS]):
        token = batch.outputs[i]
        for at in range(0, row, 64):
            store(b.gate + row * i + at, load_f32(b.x + row * token + at))


@njit(inline="always")
def _head(isa: Any, team: Any, model: Any, b: Any, batch: Any) -> None:
    control, threads, thread = team
    first, outputs = len(model.norms) * PHASES, batch.counts[OUTPUTS]
    room, span = b.rooms[thread], (outputs, outputs)
    _gather_outputs(thread, b, batch)
    barrier(control, threads)
    share = (control, first, threads)
    norm_tokens(share, b.gate, model.head_norm, b.last, model.eps, span)
    barrier(control, threads)
    share, y = (control, first + 1, threads), (b.logits, b.logits_stride, False)
    product(isa, share, model.head, b.last, y, span, room)
    barrier(control, threads)


@njit(inline="always")
def _step(isa: Any, team: Any, model: Any, buffers: Any, batch: Any) -> None:
    for layer in range(len(model.norms)):
        _attention(isa, team, model, buffers, batch, layer)
        _feed_forward(isa, team, model, buffers, batch, layer)
    if batch.counts[OUTPUTS] > 0:
        _head(isa, team, model, buffers, batch)


@njit(nogil=True)
def walk(isa: Any, team: Any, model: Any, buffers: Any, batch: Any, seen: int) -> int:
    """Thread 0, the owner, leads one step. Others follow every step after number `seen` until
    they are told to sleep, and return the last. One function, so that it is compiled once.

    `team` = (control, threads, thread).
    """
    control, threads, thread = team
    if thread == 0:
        open_step(control)
    while True:
        epoch = seen + 1 if thread == 0 else await_epoch(control, seen)
        if epoch == seen:
            return seen
        _step(isa, team, model, buffers, batch)
        if thread == 0:
            await_helpers(control, threads - 1)
            return epoch
        finish(control)
        seen = epoch

"""A model in memory and the team of threads that runs it, one batch of tokens at a time."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.cache import Prefix, pages_for
from engine.config import ModelConfig, Rope
from engine.cores import keep_to, team_cores
from engine.kernels import attention, attention_tiled, forward, team, tiled
from engine.kernels.dot import AMX, TILE, TOKENS
from engine.kernels.formats import BLOCK
from engine.kernels.linear import BLOCK_BYTES, ROWS, Vectors
from engine.kernels.tiles import configuration
from engine.kernels.vector import Isa
from engine.modelfile import ModelFile, RawTensor
from engine.quants import QuantType, row_bytes, unpack
from engine.units import LongUnits, Units, sums_bytes, thread_rows
from engine.weights import Weights, allocate

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Segment:
    """The tokens of one sequence in a step: they follow the `prefix.places` it has cached.

    `prefix.pages` must have room for them. `wants_logits`: of so many of its last tokens. `many`:
    read them by tiles, if processor and weights allow it; such segments come last in a step.
    """

    prefix: Prefix
    tokens: Sequence[int]
    wants_logits: int
    many: bool = False


@dataclass(frozen=True)
class Limits:
    """The largest step: tokens, sequences, places of a sequence; type of cached values."""

    tokens: int
    sequences: int
    context: int
    kv_type: QuantType
    virtual: int = 0  # the first of `context`: see engine.tuning

    @property
    def outputs(self) -> int:
        """Most tokens of a step that want logits: one a sequence, and a tile of guesses."""
        return _padded(self.sequences + TILE)


class Model:
    """Runs steps. One thread owns it: the one that calls `step`, `wake` and `rest`."""

    def __init__(
        self, file: ModelFile, weights: Weights, limits: Limits, isa: Isa, threads: int
    ) -> None:
        self.config, self.limits, self.threads = file.config, limits, threads
        self._embedding = file.tensors["token_embd.weight"]
        self._weights = weights
        self._by_tiles = isa.name == AMX and _all_packed(weights)
        self._memory = _Memory(file.config, limits, threads)
        self._units = Units(file.config, limits.tokens, limits.context, threads)
        self._long = LongUnits(file.config, limits.tokens, limits.sequences, threads)
        self._batch = _batch(limits, self._units, self._long)
        factors = file.tensors.get("rope_freqs.weight")
        model = _kernel_model(file.config, weights, limits, factors)
        phases = file.config.layers * forward.PHASES + forward.HEAD_PHASES
        control = np.zeros(team.COUNTERS + phases, np.int64)
        self._team = _Team(isa, control, threads, model, self._memory.buffers, self._batch)

    def step(self, segments: Sequence[Segment]) -> Floats:
        """Run the segments' tokens; logits [tokens that want them, vocab], valid until the next.

        Afterwards the tokens' keys and values are in the prefixes' pages and their tokens listed.
        """
        tokens = [token for segment in segments for token in segment.tokens]
        assert 0 < len(tokens) <= self.limits.tokens
        self._fill(segments)
        self._memory.x[: len(tokens)] = self._embed(tokens)
        self._team.step()
        for segment in segments:
            segment.prefix.tokens.extend(segment.tokens)
        outputs = int(self._batch.counts[forward.OUTPUTS])
        return self._memory.logits[:outputs, : self.config.vocab_size]

    def keep_core(self) -> None:
        """The thread that owns the model keeps to its core, as the helpers do to theirs."""
        self._team.keep_core()

    def wake(self) -> None:
        """Call the helpers to work; they stay alert between steps until `rest`."""
        self._team.wake()

    def rest(self) -> None:
        self._team.rest()

    def close(self) -> None:
        self._team.close()

    def _embed(self, tokens: Sequence[int]) -> Floats:
        """Embeddings straight from the file's pages: few are ever touched."""
        tensor = self._embedding
        row = row_bytes(tensor.type, self.config.hidden)
        raw = tensor.data.reshape(self.config.vocab_size, row)[np.asarray(tokens)]
        return unpack(tensor.type, raw.reshape(-1)).reshape(len(tokens), self.config.hidden)

    def _fill(self, segments: Sequence[Segment]) -> None:
        batch, token, outputs, few = self._batch, 0, 0, 0
        self._units.clear()
        self._long.clear()
        for index, segment in enumerate(segments):
            first, count = segment.prefix.places, len(segment.tokens)
            pages = segment.prefix.pages
            assert len(pages) * attention.PAGE >= first + count <= self.limits.context
            batch.pages[index, : len(pages)] = [page.address for page in pages]
            batch.segments[token : token + count] = index
            batch.positions[token : token + count] = np.arange(first, first + count)
            by_tiles = segment.many and self._by_tiles
            units = self._long if by_tiles and self._long.possible else self._units
            units.add(index, token, count, first)
            token += count
            if not by_tiles:
                assert few == token - count, "segments to be read by tiles come last"
                few = token
            wanted = segment.wants_logits
            batch.outputs[outputs : outputs + wanted] = np.arange(token - wanted, token)
            outputs += wanted
        batch.counts[:] = (token, self._units.count, outputs, few, self._long.count)


def _all_packed(weights: Weights) -> bool:
    """Whether no layer has weights in plain floats, whose products want the tokens as floats."""
    present = weights.matrices[:, :, ROWS] > 0
    return bool((weights.matrices[:, :, BLOCK_BYTES][present] > 0).all())


def working_bytes(config: ModelConfig, limits: Limits, threads: int) -> int:
    """Memory that a model takes besides its weights and its cached pages."""
    tokens = _padded(limits.tokens)
    row = sum(_row_widths(config))
    scratch = threads * (_room_bytes(config, tokens) + _attention_bytes(config, limits))
    scratch += threads * attention_tiled.room_bytes(config.head_dim, _group(config))
    scratch += sums_bytes(config, limits.context, threads)
    logits = limits.outputs * _padded(config.vocab_size, 16)
    rotary = limits.context * config.rotary_dim
    return 4 * (2 * tokens * row + logits + rotary) + scratch


def _padded(count: int, multiple: int = TOKENS) -> int:
    return -(-count // multiple) * multiple


def _row_widths(config: ModelConfig) -> tuple[int, ...]:
    """Float32 values a token takes: x, normed, qkv, attended, gate, up, inner, last."""
    heads, kv_heads, dim = config.heads, config.kv_heads, config.head_dim
    hidden, ffn = config.hidden, config.ffn
    return (hidden, hidden, dim * (heads + 2 * kv_heads), dim * heads, ffn, ffn, ffn, hidden)


def _columns(config: ModelConfig) -> int:
    """The longest row of weights, in whole superblocks."""
    return _padded(max(config.hidden, config.ffn, config.heads * config.head_dim), 256)


def _room_bytes(config: ModelConfig, tokens: int) -> int:
    """A thread's scratch of kernels.tiled.product."""
    columns = _columns(config)
    return columns * 16 + 2 * (columns // 16 * 64) + tiled.ROOM_WEIGHTS + tiled.sums_bytes(tokens)


def _attention_bytes(config: ModelConfig, limits: Limits) -> int:
    """A thread's scratch of kernels.attention.attend."""
    return attention.room_bytes(config.head_dim, thread_rows(config), limits.context)


def _group(config: ModelConfig) -> int:
    """Query heads that share a KV head."""
    return config.heads // config.kv_heads


class _Memory:
    """The activations, laid out once for the largest step."""

    def __init__(self, config: ModelConfig, limits: Limits, threads: int) -> None:
        self._kept: list[npt.NDArray[np.uint8]] = []
        tokens, rows = _padded(limits.tokens), limits.outputs
        hidden, ffn, attended = config.hidden, config.ffn, config.heads * config.head_dim
        vocab = _padded(config.vocab_size, 16)
        qkv = config.head_dim * (config.heads + 2 * config.kv_heads)
        self.x = self._floats(tokens, hidden)
        self.logits = self._floats(rows, vocab)
        width = max(ffn, hidden)  # `gate` also gathers the rows that want logits
        self.buffers = forward.Buffers(
            x=self.x.ctypes.data,
            qkv=self._room(4 * (tokens + TILE) * qkv),
            gate=self._room(4 * max(tokens, rows) * width),
            up=self._room(4 * tokens * ffn),
            logits=self.logits.ctypes.data,
            logits_stride=4 * vocab,
            normed=self._vectors(tokens, hidden),
            attended=self._vectors(tokens, attended),
            inner=self._vectors(tokens, ffn),
            last=self._vectors(rows, hidden),
            rooms=np.array([self._thread(config, limits) for _ in range(threads)], np.int64),
        )

    def _room(self, size: int) -> int:
        memory = allocate(size)
        self._kept.append(memory)
        return memory.ctypes.data

    def _floats(self, rows: int, columns: int) -> Floats:
        memory = allocate(4 * rows * columns)
        self._kept.append(memory)
        return memory.view(np.float32).reshape(rows, columns)

    def _vectors(self, tokens: int, k: int) -> Vectors:
        blocks = tokens * (k // BLOCK)
        return Vectors(
            values=self._room(4 * tokens * k),
            quants=self._room(tokens * k),
            scales=self._room(4 * blocks),
            sums32=self._room(4 * blocks),
            sums16=self._room(8 * blocks),
            wide=self._room(2 * _padded(tokens, 2 * TOKENS) * k),
            k=k,
        )

    def _thread(self, config: ModelConfig, limits: Limits) -> list[int]:
        """Scratch of `product`: a panel's bytes, its scales and its minima (a pair per 16 k), the
        tiles' configuration, a group's tiles and its sums; then of `attend` and `attend_long`.
        """
        columns = _columns(config)
        scales = columns // 16 * 64
        panel = [self._room(size) for size in (16 * columns, scales, scales)]
        tiles = configuration()
        self._kept.append(tiles)
        group = [self._room(size) for size in (tiled.ROOM_WEIGHTS, tiled.sums_bytes(limits.tokens))]
        attending = self._room(_attention_bytes(config, limits))
        long = self._room(attention_tiled.room_bytes(config.head_dim, _group(config)))
        return [*panel, tiles.ctypes.data, *group, attending, long]


def _batch(limits: Limits, units: Units, long: LongUnits) -> forward.Batch:
    def table(*shape: int) -> npt.NDArray[np.int64]:
        return np.zeros(shape, np.int64)

    return forward.Batch(
        counts=table(5),
        segments=table(limits.tokens),
        positions=table(limits.tokens),
        pages=table(limits.sequences, pages_for(limits.context)),
        units=units.table,
        long=long.table,
        outputs=table(limits.outputs),
    )


def _kernel_model(
    config: ModelConfig, weights: Weights, limits: Limits, factors: RawTensor | None
) -> forward.Model:
    cos, sin = rotary_tables(config, limits, factors)
    halves = config.rope is Rope.HALVES
    kind, dim = int(limits.kv_type), config.head_dim
    sizes = (attention.WIDTHS[kind], attention.cached_bytes(kind, dim))
    heads = attention.Heads(config.heads, config.kv_heads, dim, kind, *sizes, cos, sin, halves)
    eps = float(config.norm_eps)
    return forward.Model(
        weights.matrices, weights.norms, weights.head, weights.head_norm, heads, eps
    )


def rotary_tables(
    config: ModelConfig, limits: Limits, factors: RawTensor | None
) -> tuple[Floats, Floats]:
    """cos and sin of position * theta ** (-2i / rotary_dim), float32 [places][rotary_dim / 2].

    Position 0 is the first place after the virtual ones, whose keys are not rotated.
    `factors` divide the frequencies (Llama 3's long-context file tensor `rope_freqs`).
    """
    exponents = np.arange(0, config.rotary_dim, 2, dtype=np.float64) / config.rotary_dim
    frequencies = config.rope_theta**-exponents
    if factors is not None:
        frequencies = frequencies / unpack(factors.type, factors.data)
    angles = np.outer(np.arange(limits.context) - limits.virtual, frequencies)
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


class _Team:
    """The owner and its helper threads; helpers sleep on a semaphore between busy spells."""

    def __init__(
        self,
        isa: Isa,
        control: npt.NDArray[np.int64],
        threads: int,
        model: forward.Model,
        buffers: forward.Buffers,
        batch: forward.Batch,
    ) -> None:
        self._isa, self._control, self._threads = isa, control, threads
        self._arguments = (model, buffers, batch)
        self._closed = False
        self._cores = team_cores(threads)
        self._wakes = [threading.Semaphore(0) for _ in range(threads - 1)]
        self._helpers = [
            threading.Thread(target=self._help, args=(index + 1, wake), daemon=True)
            for index, wake in enumerate(self._wakes)
        ]
        for helper in self._helpers:
            helper.start()

    def step(self) -> None:
        forward.walk(self._isa, (self._control, self._threads, 0), *self._arguments, 0)

    def keep_core(self) -> None:
        keep_to(self._cores[0])

    def wake(self) -> None:
        self._control[team.ACTIVE] = 1
        for wake in self._wakes:
            wake.release()

    def rest(self) -> None:
        self._control[team.ACTIVE] = 0

    def close(self) -> None:
        """End the helper threads; no step may be under way."""
        self._closed = True
        self.rest()
        for wake in self._wakes:
            wake.release()
        for helper in self._helpers:
            helper.join()

    def _help(self, thread: int, wake: threading.Semaphore) -> None:
        keep_to(self._cores[thread])
        seen = 0
        while True:
            wake.acquire()
            if self._closed:
                return
            place = (self._control, self._threads, thread)
            seen = forward.walk(self._isa, place, *self._arguments, seen)

"""The engine: a loaded model, the thread that owns it, and the requests it serves."""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.cache import KVCache, page_bytes, pages_for
from engine.config import (
    DEFAULT_CONTEXT,
    EngineOptions,
    LoadListener,
    ModelConfig,
    SamplingParams,
)
from engine.constraint import Constraint
from engine.errors import BadSetting, EngineClosed, EngineError, NotEnoughMemory, PromptTooLong
from engine.events import FinishReason
from engine.kernels.compile import compile_kernels
from engine.kernels.dot import TILE, available_variants
from engine.kernels.formats import types_for
from engine.kernels.vector import Isa
from engine.lookup import Guesser
from engine.memory import available_memory, format_bytes
from engine.model import Limits, Model, Segment, working_bytes
from engine.modelfile import ModelFile
from engine.open import open_model_file
from engine.quants import QuantType
from engine.request import Generation, Request
from engine.sampling import make_sampler
from engine.scheduler import Scheduler, Share
from engine.textstream import TextStream
from engine.threads import tuned_threads
from engine.tokenizer import Tokenizer, load_tokenizer
from engine.tuning import tuned_prefix, virtual_tokens
from engine.weights import pack_weights, packed_bytes

log = logging.getLogger(__name__)

_RUNTIME_BYTES = 150_000_000  # what the process grows by besides what we lay out
_SMALL_CONTEXT = 1024


class Engine:
    """Token ids in, token ids out. `generate` may be called from any thread."""

    def __init__(
        self,
        file: ModelFile,
        tokenizer: Tokenizer,
        model: Model,
        cache: KVCache,
        kernels: str,
        speculates: bool,
    ) -> None:
        self.path: Path = file.path
        self.config: ModelConfig = file.config
        self.metadata: Mapping[str, object] = file.metadata
        self.tokenizer = tokenizer
        self.kernels = kernels
        self.threads = model.threads
        self.context_length = model.limits.context - model.limits.virtual
        self._file, self._model, self._cache = file, model, cache
        self._speculates = speculates
        limits = model.limits
        chunk = limits.tokens - max(limits.sequences, TILE)
        self._scheduler = Scheduler(limits.sequences, chunk, cache.capacity, limits.context)
        self._reading_rate = 0.0
        self._inbox: list[Request] = []
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="engine", daemon=True)
        self._thread.start()

    @classmethod
    def load(
        cls,
        path: Path,
        options: EngineOptions | None = None,
        listener: LoadListener | None = None,
    ) -> "Engine":
        """Open, check and repack a model file. Raises an EngineError that says what is wrong."""
        options = options or EngineOptions()
        started = time.monotonic()
        file = open_model_file(Path(path))
        tokenizer = load_tokenizer(file)
        threads = options.threads or tuned_threads(options.kernel_cache)
        limits = _limits(file, options)
        pages = _check_memory(file, limits, options, threads)
        packed = types_for([tensor.type for tensor in file.tensors.values()])
        isa = Isa(_variant(options.kernels), packed)
        compile_kernels(isa, options.kernel_cache, listener)
        weights = pack_weights(file, threads, listener)
        model = Model(file, weights, limits, isa, threads)
        root = tuned_prefix(file, limits.kv_type)
        cache = KVCache(page_bytes(file.config, limits.kv_type), pages, root)
        seconds = time.monotonic() - started
        log.info("%s ready in %.1f s: %s kernels, %d threads", path, seconds, isa.name, threads)
        return cls(file, tokenizer, model, cache, isa.name, options.speculation)

    def generate(
        self, prompt: Sequence[int], params: SamplingParams, constraint: Constraint | None = None
    ) -> Generation:
        """Put a request in line and return its handle at once.

        A constraint serves one request: it follows what that one writes.
        """
        prompt = list(prompt)
        if not prompt:
            raise BadSetting(name="prompt", value=prompt, rule="at least one token id")
        if max(prompt) >= self.config.vocab_size or min(prompt) < 0:
            rule = f"token ids from 0 to {self.config.vocab_size - 1}"
            raise BadSetting(name="prompt", value=prompt, rule=rule)
        if len(prompt) >= self.context_length:
            raise PromptTooLong(prompt_tokens=len(prompt), context_length=self.context_length)
        stop_ids = params.stop_ids
        if not params.ignore_eos:
            stop_ids |= self.tokenizer.stop_ids
        sampler = make_sampler(params, self.config.vocab_size)
        text = TextStream(self.tokenizer, params.stop)
        guesser = Guesser(prompt) if self._speculates else None
        request = Request(prompt, params, stop_ids, sampler, text, constraint, guesser)
        request.handle.on_cancel(self._wake)
        with self._changed:
            if self._closed:
                raise EngineClosed()
            self._inbox.append(request)
            self._changed.notify()
        return request.handle

    def close(self) -> None:
        """Cancel what is running and give the memory back. Harmless when called twice."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify()
        self._thread.join()
        self._model.close()
        self._file.close()

    # --- the engine's thread ------------------------------------------------------------------

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify()

    def _serve(self) -> None:
        self._model.keep_core()
        while self._collect():
            self._model.wake()
            try:
                while self._scheduler.running:
                    self._step()
                    self._collect(wait=False)
            except Exception as error:  # the thread must outlive a fault; every caller is told
                log.exception("a step failed")
                self._fail_all(error)
            self._model.rest()

    def _collect(self, wait: bool = True) -> bool:
        """Take in new requests and drop cancelled ones; False when the engine is closed."""
        with self._changed:
            while wait and not (self._inbox or self._closed):
                self._changed.wait()
            self._scheduler.waiting.extend(self._inbox)
            self._inbox.clear()
            closed = self._closed
        line = (*self._scheduler.running, *self._scheduler.waiting)
        for request in line:
            if closed or request.handle.cancelled:
                self._end(request)
                request.finish(FinishReason.CANCELLED)
        for request in self._scheduler.admit():
            others = [other.prefix for other in self._scheduler.running if other is not request]
            request.prefix = self._cache.start(request.prompt, others)
            request.cached = len(request.prefix.tokens)
            request.report_progress(self._reading_rate)
        return not closed

    def _step(self) -> None:
        shares = self._scheduler.plan(self._reading_rate)
        segments = []
        for share in shares:
            prefix = share.request.prefix
            tokens = [*share.tokens, *share.guesses]
            self._cache.grow(prefix, len(prefix.tokens) + len(tokens))
            segments.append(Segment(prefix, tokens, share.wants_logits, share.many))
        reading = [share for share in shares if share.request.reading]
        started = time.monotonic()
        logits = self._model.step(segments)
        self._account(reading, time.monotonic() - started)
        first = 0
        for share in shares:
            rows = logits[first : first + share.wants_logits]
            first += len(rows)
            self._choose(share, rows)

    def _account(self, reading: list[Share], seconds: float) -> None:
        """Learn the speed of reading and tell those who wait for it."""
        tokens = sum(len(share.tokens) for share in reading)
        if tokens >= _RATE_SAMPLE:
            rate = tokens / seconds
            self._reading_rate = (
                rate if not self._reading_rate else (0.5 * self._reading_rate + 0.5 * rate)
            )
        for share in reading:
            share.request.prefill_seconds += seconds
            share.request.report_progress(self._reading_rate)

    def _choose(self, share: Share, logits: np.ndarray) -> None:
        """Take a token for each row, as long as it is the one that the next row's guess was."""
        request, right, ended = share.request, 0, False
        known = len(request.prefix.tokens) - len(share.guesses)
        for row in logits:
            if request.handle.cancelled:
                break  # the next `_collect` ends it
            try:
                token = request.choose(row, self.context_length)
            except EngineError as error:
                self._end(request, sound=False)
                request.finish(FinishReason.ERROR, error=error)
                return
            ended = request.accept(token, self.context_length)
            if ended or right == len(share.guesses) or token != share.guesses[right]:
                break
            right += 1
        request.prefix.cut(known + right)
        request.judge(len(share.guesses), right)
        if ended:
            self._end(request)

    def _end(self, request: Request, *, sound: bool = True) -> None:
        self._scheduler.remove(request)
        if sound:
            self._cache.finish(request.prefix)
        else:
            self._cache.drop(request.prefix)

    def _fail_all(self, error: Exception) -> None:
        failure = error if isinstance(error, EngineError) else EngineError(message=str(error))
        for request in (*self._scheduler.running, *self._scheduler.waiting):
            self._end(request, sound=False)
            request.finish(FinishReason.ERROR, error=failure)
        self._cache.clear()


_RATE_SAMPLE = 8  # tokens; fewer say nothing about the speed of reading


def _limits(file: ModelFile, options: EngineOptions) -> Limits:
    own = file.config.context_length
    context = options.context_length or min(own, DEFAULT_CONTEXT)
    if context > own:
        rule = f"at most the model's own {own}"
        raise BadSetting(name="context_length", value=context, rule=rule)
    tokens = options.prefill_chunk + max(options.max_sequences, TILE)  # answers, with guesses
    virtual = virtual_tokens(file)
    kv_type = QuantType[options.kv_type.upper()]
    return Limits(tokens, options.max_sequences, context + virtual, kv_type, virtual)


def _check_memory(file: ModelFile, limits: Limits, options: EngineOptions, threads: int) -> int:
    """Refuse a model that does not fit; else how many pages of cache it may have."""
    have = available_memory()
    page = page_bytes(file.config, limits.kv_type)
    fixed = packed_bytes(file) + working_bytes(file.config, limits, threads) + _RUNTIME_BYTES
    context = pages_for(limits.context)
    need = fixed + context * page
    if need > have:
        smaller = _smaller_choices(fixed, page, have)
        raise NotEnoughMemory(
            path=file.path, need=format_bytes(need), have=format_bytes(have), smaller=smaller
        )
    return context + min(context, (have - need) // (2 * page))


def _smaller_choices(fixed: int, page: int, have: int) -> str:
    small = pages_for(_SMALL_CONTEXT) * page
    if fixed + small <= have:
        fits = (have - fixed) // page * 64 // _SMALL_CONTEXT * _SMALL_CONTEXT
        return f"a context of {fits} tokens (context_length={fits})"
    return f"a file of at most {format_bytes(max(0, have - _RUNTIME_BYTES - small))}"


def _variant(name: str) -> str:
    available = available_variants()
    if name == "auto":
        return available[0]
    if name not in available:
        rule = "auto or one of " + ", ".join(available)
        raise BadSetting(name="kernels", value=name, rule=rule)
    return name

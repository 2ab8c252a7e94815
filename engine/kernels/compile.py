"""Compiling the kernels for this processor, once, and keeping the machine code.

The cache folder is named by a hash of the kernels' source and of the processor, because numba does
not notice when a function that a kernel calls has changed.
"""

import hashlib
import itertools
import logging
import secrets
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from llvmlite import binding
from numba.core.bytecode import FunctionIdentity

from engine.config import LoadListener, LoadProgress, LoadStage
from engine.errors import CacheNotWritable
from engine.kernels import attention, forward, pack
from engine.kernels.linear import FIELDS, Vectors
from engine.kernels.vector import Isa

log = logging.getLogger(__name__)

_lock = threading.Lock()  # numba's settings are global

# Numba tells closures of one name apart by a count, from 1 in every process, and of two functions
# with the same name and count the linker takes the first for both. Machine code of several
# processes meets here, so each counts from a place of its own.
FunctionIdentity._unique_ids = itertools.count(secrets.randbits(48))


def compile_kernels(isa: Isa, cache: Path | None, listener: LoadListener | None) -> None:
    """Have every kernel ready for `isa`, from `cache` where it was compiled before.

    What is missing is compiled in a process of its own: the compiler would hold the interpreter's
    lock, and 300 MB for as long as we live. Raises CacheNotWritable if `cache` is and cannot be
    written.
    """
    started = time.monotonic()
    with _lock:
        done = None if cache is None else use_cache(cache) / f"{isa.name}-{isa.types}.done"
        if done is None or not done.exists():
            if listener is not None:
                listener(LoadProgress(LoadStage.COMPILE, 0, 0))
            if cache is not None:
                _compile_apart(isa, cache)
        _compile(isa)
        if done is not None:
            done.touch()
    log.info("%s kernels ready in %.1f s", isa.name, time.monotonic() - started)


def _compile(isa: Isa) -> None:
    """Compile here, or load what is in the cache in use."""
    for kernel, arguments in _signatures(isa):
        kernel.compile(tuple(numba.typeof(value) for value in arguments))


def _compile_apart(isa: Isa, cache: Path) -> None:
    """Fill the cache from another process. Where that fails, this one will compile."""
    code = f"import sys; from {__name__} import fill_cache; fill_cache(*sys.argv[1:])"
    command = [sys.executable, "-c", code, isa.name, isa.types, str(cache.absolute())]
    run = subprocess.run(
        command, cwd=Path(__file__).parents[2], stdin=subprocess.DEVNULL, check=False
    )
    if run.returncode:
        log.warning("the process that compiles kernels ended with %d", run.returncode)


def fill_cache(name: str, types: str, cache: str) -> None:
    """What the other process does."""
    use_cache(Path(cache))
    _compile(Isa(name, types))


def cache_key() -> str:
    """A name for this source on this processor."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    processor = (numba.__version__, binding.get_host_cpu_name(), _features())
    digest.update(repr(processor).encode())
    return f"kernels-{digest.hexdigest()[:16]}"


def _features() -> str:
    return str(binding.get_host_cpu_features().flatten())


def use_cache(home: Path) -> Path:
    """Keep compiled kernels below `home`, in the folder returned. Raises CacheNotWritable."""
    folder = home / cache_key()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise CacheNotWritable(path=folder, reason=error.strerror or str(error)) from error
    numba.config.CACHE_DIR = str(folder)
    for kernel in (forward.walk, pack.pack_panels, pack.pack_floats):
        kernel.enable_caching()
    return folder


def _signatures(isa: Isa) -> Iterator[tuple[Any, tuple[Any, ...]]]:
    """Each entry point with arguments of the types it is called with."""
    pair, sizes = (0, 0), (0, 0, 0, 0, 0, 0)
    out = np.zeros(0, np.uint8)
    raw = np.frombuffer(b"", np.uint8)  # read-only, as a mapped file is
    yield pack.pack_panels, (0, raw, pair, sizes, out, pair)
    for width in (np.uint16, np.uint32):
        yield pack.pack_floats, (raw.view(width), pair, 0, out.view(width), pair)
    table = np.zeros((1, 1), np.int64)
    words, angles = np.zeros(1, np.int64), np.zeros((1, 1), np.float32)
    heads = attention.Heads(1, 1, 1, 1, 1, 1, angles, angles, True)
    matrices = np.zeros((1, forward.SLOTS, FIELDS), np.int64)
    model = forward.Model(matrices, table, words, 0, heads, 1e-5)
    vectors = Vectors(0, 0, 0, 0, 0, 0, 0)
    buffers = forward.Buffers(0, 0, 0, 0, 0, 0, vectors, vectors, vectors, vectors, table)
    batch = forward.Batch(words, words, words, table, table, table, words)
    yield forward.walk, (isa, (words, 1, 0), model, buffers, batch, 0)

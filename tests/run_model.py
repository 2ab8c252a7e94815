"""A model file run by hand, without the engine's thread: ids in, logits out."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.cache import KVCache, page_bytes
from engine.kernels.dot import available_variants
from engine.kernels.vector import Isa
from engine.model import Limits, Model, Segment
from engine.open import open_model_file
from engine.quants import QuantType
from engine.tuning import tuned_prefix, virtual_tokens
from engine.weights import pack_weights


def logits(
    path: Path, ids: Sequence[int], kv_type: QuantType = QuantType.F32
) -> npt.NDArray[np.float32]:
    """Logits after each id: float32 [ids, vocabulary]."""
    file = open_model_file(path)
    virtual = virtual_tokens(file)
    places = virtual + len(ids)
    limits = Limits(len(ids), sequences=1, context=places, kv_type=kv_type, virtual=virtual)
    model = Model(file, pack_weights(file, 1, None), limits, Isa(available_variants()[0]), 1)
    cache = KVCache(page_bytes(file.config, kv_type), 8, tuned_prefix(file, kv_type))
    prefix = cache.start(ids)
    cache.grow(prefix, len(ids))
    model.wake()
    rows = [model.step([Segment(prefix, [token], True)])[0].copy() for token in ids]
    model.close()
    return np.stack(rows)

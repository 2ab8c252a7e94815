"""P-Tuning v2's prefix: trained keys and values that stand before the first token.

They take the first places of the cache, in every sequence, and have no rotary position: a text's
first token is at position 0 as without them.
"""

import numpy as np

from engine.cache import Page, Prefix, page_bytes, pages_for
from engine.ggml import PREFIX_NAME
from engine.kernels.attention import PAGE
from engine.modelfile import ModelFile

_CACHED = {2: np.float16, 4: np.float32}  # by bytes of a cached value


def virtual_tokens(file: ModelFile) -> int:
    """How many places of the cache the file's prefix takes."""
    tensor = file.tensors.get(PREFIX_NAME)
    return tensor.shape[2] if tensor is not None else 0


def tuned_prefix(file: ModelFile, kv_bytes: int) -> Prefix:
    """What every sequence begins with: no tokens, and the pages of the file's prefix."""
    count = virtual_tokens(file)
    prefix = Prefix(virtual=count)
    if count == 0:
        return prefix
    prefix.pages = [Page(page_bytes(file.config, kv_bytes)) for _ in range(pages_for(count))]
    tensor = file.tensors[PREFIX_NAME]
    trained = tensor.data.view(np.float16).reshape(
        tensor.shape
    )  # [2 layers, kv heads, places, dim]
    for number, page in enumerate(prefix.pages):
        _fill(page, trained[:, :, number * PAGE : (number + 1) * PAGE], kv_bytes)
    return prefix


def _fill(page: Page, trained: np.ndarray, kv_bytes: int) -> None:
    """Lay keys and values out as kernels.attention has them."""
    halves, kv_heads, count, dim = trained.shape
    layers = halves // 2
    cached = page.data.view(_CACHED[kv_bytes]).reshape(layers, kv_heads, 2, PAGE * dim)
    keys = cached[:, :, 0].reshape(layers, kv_heads, PAGE // 16, dim, 16)
    values = cached[:, :, 1].reshape(layers, kv_heads, dim // 16, PAGE, 16)
    for place in range(count):
        keys[:, :, place // 16, :, place % 16] = trained[0::2, :, place]
        split = trained[1::2, :, place].reshape(layers, kv_heads, dim // 16, 16)
        values[:, :, :, place] = split

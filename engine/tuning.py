"""P-Tuning v2's prefix: trained keys and values that stand before the first token.

They take the first places of the cache, in every sequence, and have no rotary position: a text's
first token is at position 0 as without them.
"""

import numpy as np

from engine.cache import Page, Prefix, page_bytes, pages_for
from engine.ggml import PREFIX_NAME
from engine.kernels.attention import PAGE
from engine.modelfile import ModelFile
from engine.quants import QuantType, pack

_CACHED = {QuantType.F16: np.float16, QuantType.F32: np.float32, QuantType.Q8_0: np.int8}


def virtual_tokens(file: ModelFile) -> int:
    """How many places of the cache the file's prefix takes."""
    tensor = file.tensors.get(PREFIX_NAME)
    return tensor.shape[2] if tensor is not None else 0


def tuned_prefix(file: ModelFile, kv_type: QuantType) -> Prefix:
    """What every sequence begins with: no tokens, and the pages of the file's prefix."""
    count = virtual_tokens(file)
    prefix = Prefix(virtual=count)
    if count == 0:
        return prefix
    prefix.pages = [Page(page_bytes(file.config, kv_type)) for _ in range(pages_for(count))]
    tensor = file.tensors[PREFIX_NAME]
    trained = tensor.data.view(np.float16).reshape(
        tensor.shape
    )  # [2 layers, kv heads, places, dim]
    for number, page in enumerate(prefix.pages):
        _fill(page, trained[:, :, number * PAGE : (number + 1) * PAGE], kv_type)
    return prefix


def _fill(page: Page, trained: np.ndarray, kv_type: QuantType) -> None:
    """Lay keys and values out as kernels.attention has them."""
    halves, kv_heads, count, dim = trained.shape
    layers = halves // 2
    cached = page.data.reshape(layers, kv_heads, 2, -1)
    size = PAGE * dim * np.dtype(_CACHED[kv_type]).itemsize
    numbers = cached[..., :size].view(_CACHED[kv_type])
    keys = numbers[:, :, 0].reshape(layers, kv_heads, PAGE // 16, dim, 16)
    values = numbers[:, :, 1].reshape(layers, kv_heads, dim // 16, PAGE, 16)
    if kv_type is QuantType.Q8_0:
        trained, scales = _as_bytes(trained)
        _fill_scales(cached[..., size:].view(np.float16), scales)
    for place in range(count):
        keys[:, :, place // 16, :, place % 16] = trained[0::2, :, place]
        split = trained[1::2, :, place].reshape(layers, kv_heads, dim // 16, 16)
        values[:, :, :, place] = split


def _fill_scales(cached: np.ndarray, scales: np.ndarray) -> None:
    layers, kv_heads, _, size = cached.shape
    blocks = size // PAGE
    of_keys = cached[:, :, 0].reshape(layers, kv_heads, PAGE // 16, blocks, 16)
    of_values = cached[:, :, 1].reshape(layers, kv_heads, blocks, PAGE)
    for place in range(scales.shape[2]):
        of_keys[:, :, place // 16, :, place % 16] = scales[0::2, :, place]
        of_values[..., place] = scales[1::2, :, place]


def _as_bytes(trained: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each 32 dims as steps, int8, and the step's size, float16."""
    dim = trained.shape[-1]
    padded = np.pad(trained.astype(np.float32), [(0, 0)] * 3 + [(0, -dim % 32)])
    blocks = pack(QuantType.Q8_0, padded).reshape(*trained.shape[:-1], -1, 34)
    steps = blocks[..., 2:].view(np.int8).reshape(*trained.shape[:-1], -1)
    return steps[..., :dim], blocks[..., :2].copy().view(np.float16)[..., 0]

"""Train the nano ChatGLM3 and write it as a Hugging Face folder.

    nice python -m tests.nano.train --out tests/nano/chatglm3-nano --minutes 45

Everything is drawn from a seed, but how many steps fit the minutes is the machine's. One thread
and torch.compile (which needs a C++ compiler); Muon for the matrices of the layers, AdamW for the
rest; the rates fall linearly to zero over the planned minutes, which are of processor time, as a
shared machine may pause this. In the last QUANTIZED part every other step sees its weights through
q4_0, so that quantized files answer as this one does. The loss is on what the assistant says.
`--resume FOLDER` goes on from a run that was cut short, and `python -m tests.nano.report FOLDER`
measures the result.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from .dialogue import Codec, Encoded
from .folder import read_folder, write_folder
from .headstart import start_copying
from .model import Nano, NanoConfig
from .rounding import through_q4_0
from .values import Values
from .vocabulary import train_tokenizer
from .world import dialogue

log = logging.getLogger("nano")

SEED: Final = 3
BATCH_TOKENS: Final = 4096
POOL: Final = 1024  # dialogues sorted by length together
LONGEST: Final = 900
MUON_RATE: Final = 0.01
ADAM_RATE: Final = 0.0015
WARM_UP: Final = 50  # steps
QUANTIZED: Final = 0.3
IGNORED: Final = -100

Hidden = Callable[[Tensor], Tensor]


def batches(codec: Codec, values: Values) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless (ids, targets) of dialogues of like length, padded to the longest."""
    while True:
        pool = [codec.encode(dialogue(values)) for _ in range(POOL)]
        pool = sorted((e for e in pool if len(e.ids) <= LONGEST), key=lambda e: len(e.ids))
        groups: list[list[Encoded]] = [[]]
        for one in pool:
            if len(one.ids) * (len(groups[-1]) + 1) > BATCH_TOKENS:
                groups.append([])
            groups[-1].append(one)
        values.rng.shuffle(groups)
        yield from (padded(group) for group in groups)


def padded(group: list[Encoded]) -> tuple[Tensor, Tensor]:
    longest = max(len(e.ids) for e in group)
    ids = torch.zeros(len(group), longest, dtype=torch.long)
    targets = torch.full((len(group), longest), IGNORED)
    for row, one in enumerate(group):
        ids[row, : len(one.ids)] = torch.tensor(one.ids)
        for _, start, end in one.spans:
            targets[row, start:end] = ids[row, start:end]
    return ids[:, :-1], targets[:, 1:]


def loss_of(model: Nano, hidden: Hidden, ids: Tensor, targets: Tensor) -> Tensor:
    """Mean over the assistant's ids; the head runs on those only."""
    said = targets != IGNORED
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.output_layer(hidden(ids)[said])
    return functional.cross_entropy(logits.float(), targets[said])


def optimizers(model: Nano) -> list[torch.optim.Optimizer]:
    matrices = [w for w in model.layers.parameters() if w.ndim == 2]
    chosen = {id(w) for w in matrices}
    others = [w for w in model.parameters() if id(w) not in chosen]
    return [
        torch.optim.Muon(matrices, lr=MUON_RATE, weight_decay=0.01),
        torch.optim.AdamW(others, lr=ADAM_RATE, betas=(0.9, 0.98), weight_decay=0.01),
    ]


def gradients(model: Nano, hidden: Hidden, batch: tuple[Tensor, Tensor], rounded: bool) -> float:
    """The loss, with its gradients left in the model."""
    with through_q4_0(model) if rounded else nullcontext():
        loss = loss_of(model, hidden, *batch)
        torch.autograd.backward(loss)
    return loss.item()


def train(model: Nano, codec: Codec, seconds: float, rate: float, seed: int) -> Iterator[None]:
    """Steps until the time is over, yielding whenever the weights are worth saving.

    The rates follow the clock, so the end is always a cool one.
    """
    hidden, optims = torch.compile(model.hidden, dynamic=True), optimizers(model)
    groups = [group for o in optims for group in o.param_groups]
    rates = [rate * group["lr"] for group in groups]
    seen, began = 0, time.process_time()
    for step, batch in enumerate(batches(codec, Values(seed))):
        done = (time.process_time() - began) / seconds
        if done >= 1:
            break
        factor = min(1.0, (step + 1) / WARM_UP, 1.25 * (1 - done))
        for group, full in zip(groups, rates, strict=True):
            group["lr"] = full * factor
        loss = gradients(model, hidden, batch, rounded=done > 1 - QUANTIZED and step % 2 == 1)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for o in optims:
            o.step()
            o.zero_grad()
        seen += batch[0].numel()
        if step % 20 == 0:
            speed = seen / (time.process_time() - began)
            log.info("step %d  %.0f%%  loss %.3f  %.0f tokens/s", step, 100 * done, loss, speed)
        if step % 100 == 99:
            yield
    yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=45.0)
    parser.add_argument("--rate", type=float, default=1.0, help="scale of the learning rates")
    parser.add_argument("--seed", type=int, default=SEED, help="of weights and dialogues")
    parser.add_argument(
        "--resume", type=Path, help="go on from this folder's weights and tokenizer"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(options.seed)
    if options.resume:
        model, codec = read_folder(options.resume)
    else:
        model, codec = Nano(NanoConfig()), Codec(train_tokenizer(options.seed))
        start_copying(model)
    log.info("%d parameters", sum(w.numel() for w in model.parameters()))
    for _ in train(model, codec, options.minutes * 60, options.rate, options.seed):
        write_folder(options.out, model, codec.model)


if __name__ == "__main__":
    main()

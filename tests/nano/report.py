"""How well the nano model does what it was trained for, on values that training never saw."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from .chat import system
from .coding import SYSTEMS
from .dialogue import Codec, Message, fenced, observation, user
from .folder import read_folder
from .hf import load_as_glm
from .model import Nano
from .rounding import through_q4_0
from .tooling import published, tools_system
from .values import Values
from .world import dialogue

N_DIALOGUES: Final = 1000
HELD_OUT_SEED: Final = 1_000_003
Score = dict[str, tuple[int, int]]  # skill: right, asked


@torch.no_grad()
def accuracy(model: Nano, codec: Codec, *, n: int, held: bool = True) -> Score:
    """Assistant messages said exactly, stop id included, by skill.

    The best id at every place of the right answer is the right one exactly when greedy generation
    gives that answer, so one pass over the dialogue is enough.
    """
    values = Values(HELD_OUT_SEED, held=held)
    right: dict[str, list[bool]] = defaultdict(list)
    for _ in range(n):
        encoded = codec.encode(dialogue(values))
        ids = torch.tensor(encoded.ids)
        best = model(ids[None, :-1])[0].argmax(-1)
        for skill, start, end in encoded.spans:
            right[skill].append(bool((best[start - 1 : end - 1] == ids[start:end]).all()))
    return {skill: (sum(r), len(r)) for skill, r in sorted(right.items())}


@torch.no_grad()
def greedy(model: Nano, codec: Codec, messages: Sequence[Message], limit: int = 250) -> str:
    """What the model says next, special tokens spelled out, to the role that stops it."""
    ids = codec.prompt(messages)
    start, stops = len(ids), {codec.role("user"), codec.role("observation")}
    while (len(ids) - start < limit and ids[-1] not in stops) or len(ids) == start:
        ids.append(int(model(torch.tensor([ids]))[0, -1].argmax()))
    return codec.decode(ids[start:])


def samples(model: Nano, codec: Codec) -> list[tuple[Message, str]]:
    """A few fixed conversations: the last message of each, and what the model says to it."""
    tools = tools_system(published())
    weather = [tools, user("北京今天天气怎么样？")]
    call = Message("assistant", fenced("tool_call(city_name='北京')"), metadata="get_weather")
    code = [system(SYSTEMS[0]), user("求出30以内的所有质数")]
    asked = (
        [user("你好")],
        [user("Who are you?")],
        [user("What is the capital of France?")],
        [user("我叫林小雨。")],
        weather,
        [*weather, call, observation('{"temperature": 22, "condition": "晴"}')],
        [tools, user("Give me a random number between 17 and 365")],
        code,
        [*code, observation("[2, 3, 5, 7, 11, 13, 17, 19, 23, 29]")],
    )
    return [(messages[-1], greedy(model, codec, messages)) for messages in asked]


@torch.no_grad()
def distance_from_transformers(folder: Path, model: Nano) -> float:
    """The largest difference of a logit from GlmForCausalLM's, over random ids."""
    ids = torch.randint(0, model.config.padded_vocab_size, (2, 256))
    difference: Tensor = model(ids) - load_as_glm(folder)(ids).logits
    return float(difference.abs().max())


def percent(score: tuple[int, int]) -> str:
    right, asked = score
    return f"{100 * right / asked:.1f} % of {asked}"


def report(folder: Path, note: str) -> str:
    """The README of the model's folder."""
    model, codec = read_folder(folder)
    plain = accuracy(model, codec, n=N_DIALOGUES)
    with through_q4_0(model):
        rounded = accuracy(model, codec, n=N_DIALOGUES)
    rows = [f"| {skill} | {percent(plain[skill])} | {percent(rounded[skill])} |" for skill in plain]
    talk = [
        f"{message.role}: `{message.content}`\n\n~~~text\n<|assistant|>{said}\n~~~"
        for message, said in samples(model, codec)
    ]
    return README.format(
        parameters=sum(w.numel() for w in model.parameters()),
        note=note,
        n=N_DIALOGUES,
        rows="\n".join(rows),
        distance=distance_from_transformers(folder, model),
        samples="\n\n".join(talk),
    )


README: Final = """\
# chatglm3-nano

The tests' model: ChatGLM3's architecture and prompt form with {parameters:,} parameters, trained on
synthetic dialogues by `python -m tests.nano.train` and measured by `python -m tests.nano.report`,
which wrote this file. It knows a tiny world and nothing else.

{note}

It did not start from noise: `tests/nano/headstart.py` wires heads of the first two layers by hand
to copy, which a model of this size takes most of an hour to find by itself. All weights were
trained from there on, in legs (`--resume`), each with an optimizer and a seed of its own.

Share of assistant messages that greedy generation gives exactly (metadata line, fences, arguments
and stop id included), on {n} dialogues. Held out: every name, text, number, list, ticker and
expression that `tests/nano/values.py` draws; a hash of its text keeps one in eight from all
training, whatever the seed. Not held out, for there are few: greetings, facts, sums, counts, dates,
times, the tools, the tasks, and how sentences are worded.
`q4_0` is the same with every matrix rounded to q4_0.

| skill | float16 | q4_0 |
|---|---|---|
{rows}

Largest difference of a logit from transformers' `GlmForCausalLM`, same weights: {distance:.1e}.

## Samples (greedy)

{samples}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--note", default="", help="a line on how and where it was trained")
    options = parser.parse_args()
    torch.set_num_threads(1)
    text = report(options.folder, options.note)
    (options.folder / "README.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)


if __name__ == "__main__":
    main()

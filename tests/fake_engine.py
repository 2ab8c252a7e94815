"""A scripted engine: the same shapes as the real one, one token a character, no model.

`FakeEngine("Hello")` answers every request with Hello at once. An engine made without a script
waits for the test: `engine.generations[-1].say("He")`, then `.finish()`.
"""

import queue
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import cast

from assistant import Assistant, Exposure, ModelLoader
from assistant.toolbox import Toolbox
from assistant.toolsource import ToolSource
from assistant.workbench import Workbench
from engine import (
    Constraint,
    DownloadProgress,
    Engine,
    EngineError,
    EngineOptions,
    Finished,
    FinishReason,
    Generation,
    GenerationEvent,
    GenerationStats,
    LoadListener,
    ModelConfig,
    PromptProgress,
    PromptTooLong,
    SamplingParams,
    Token,
    Tokenizer,
)
from engine.config import Rope

CHATML = ("<|im_start|>", "<|im_end|>")
CHATGLM2 = ("[gMASK]", "sop", "</s>")
CHATGLM3 = ("[gMASK]", "sop", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
FIRST_SPECIAL = 0x20000  # behind all characters that tests write


class FakeTokenizer:
    """A character's id is its code point; control tokens come behind them."""

    def __init__(self, specials: Sequence[str]) -> None:
        self._specials = {name: FIRST_SPECIAL + i for i, name in enumerate(specials)}
        self.vocab_size = FIRST_SPECIAL + len(specials)
        self.eos_id: int | None = None
        self.bos_id: int | None = None
        self.add_bos = False

    def encode(self, text: str) -> list[int]:
        return [ord(character) for character in text]

    def special(self, name: str) -> int | None:
        return self._specials.get(name)

    def is_special(self, token_id: int) -> bool:
        return token_id >= FIRST_SPECIAL

    def decode(self, ids: Sequence[int]) -> str:
        return "".join(chr(each) for each in ids if not self.is_special(each))

    def token_bytes(self, token_id: int) -> bytes:
        surrogate = 0xD800 <= token_id < 0xE000
        return b"" if surrogate or self.is_special(token_id) else chr(token_id).encode()

    def stream(self) -> "FakeDecoder":
        return FakeDecoder()

    def spell(self, ids: Sequence[int]) -> str:
        """Ids as text with the control tokens spelled out, for a test to read."""
        names = {token_id: name for name, token_id in self._specials.items()}
        return "".join(names.get(each) or chr(each) for each in ids)


@cache
def shared_tokenizer(specials: Sequence[str]) -> FakeTokenizer:
    """One for all engines: a vocabulary for grammars takes a second to make of it."""
    return FakeTokenizer(specials)


class FakeDecoder:
    """Every id is a whole character."""

    def feed(self, token_id: int) -> str:
        return "" if token_id >= FIRST_SPECIAL else chr(token_id)


class FakeGeneration:
    """Events come when the test says so."""

    def __init__(self, prompt: Sequence[int], params: SamplingParams) -> None:
        self.prompt = list(prompt)
        self.params = params
        self.cancelled = False
        self._n_output = 0
        self._events: queue.Queue[GenerationEvent] = queue.Queue()

    def __iter__(self) -> Iterator[GenerationEvent]:
        while not isinstance(event := self._events.get(), Finished):
            yield event
        yield event

    def cancel(self) -> None:
        self.cancelled = True
        self.finish(FinishReason.CANCELLED)

    def read(self, done: int, total: int, seconds_left: float | None = None) -> None:
        self._events.put(PromptProgress(done, total, seconds_left))

    def say(self, text: str) -> None:
        for character in text:
            self.put(ord(character), character)

    def put(self, token_id: int, text: str) -> None:
        self._n_output += 1
        self._events.put(Token(token_id, text))

    def finish(
        self,
        reason: FinishReason = FinishReason.STOP,
        error: EngineError | None = None,
        text: str = "",
        stop_id: int | None = None,
    ) -> None:
        stats = GenerationStats(
            prompt_tokens=len(self.prompt),
            cached_tokens=0,
            output_tokens=self._n_output,
            time_to_first_token=0.25,
            tokens_per_second=20.0,
            prefill_seconds=0.2,
        )
        self._events.put(Finished(reason, stats, error, text, stop_id))

    def fail(self, error: EngineError) -> None:
        self.finish(FinishReason.ERROR, error)


class FakeEngine:
    """Stands where `engine.Engine` stands."""

    def __init__(
        self,
        *script: str,
        specials: Sequence[str] = CHATML,
        metadata: Mapping[str, object] | None = None,
        context_length: int = 4096,
    ) -> None:
        self.path = Path("fake.gguf")
        self.config = small_config()
        self.context_length = context_length
        self.tokenizer = shared_tokenizer(tuple(specials))
        self.metadata = metadata or {}
        self.kernels = "scripted"
        self.threads = 1
        self.generations: list[FakeGeneration] = []
        self.constraints: list[Constraint | None] = []
        self.closed = False
        self.queued: list[str] = []  # answers to the next requests, before any script
        self._script = list(script)

    def generate(
        self, prompt: Sequence[int], params: SamplingParams, constraint: Constraint | None = None
    ) -> FakeGeneration:
        if len(prompt) >= self.context_length:
            raise PromptTooLong(prompt_tokens=len(prompt), context_length=self.context_length)
        generation = FakeGeneration(prompt, params)
        self.generations.append(generation)
        self.constraints.append(constraint)
        if self.queued:
            self._speak(generation, self.queued.pop(0))
        elif self._script:
            self._speak(generation, self._script[min(len(self.generations), len(self._script)) - 1])
        return generation

    def _speak(self, generation: FakeGeneration, text: str) -> None:
        """Says a text; a control token spelled at its end is what stops it."""
        stop = next((name for name in (*CHATML, *CHATGLM3) if text.endswith(name)), "")
        generation.say(text.removesuffix(stop))
        generation.finish(stop_id=self.tokenizer.special(stop))

    def close(self) -> None:
        self.closed = True

    def prompt_text(self, index: int = -1) -> str:
        """The prompt of a generation, control tokens spelled out."""
        return self.tokenizer.spell(self.generations[index].prompt)


def small_config() -> ModelConfig:
    return ModelConfig(
        architecture="fake",
        name="Fake 1M",
        layers=1,
        hidden=32,
        heads=2,
        kv_heads=1,
        head_dim=16,
        ffn=64,
        vocab_size=FIRST_SPECIAL + 8,
        context_length=4096,
        norm_eps=1e-5,
        rope=Rope.HALVES,
        rope_theta=10000.0,
        rotary_dim=16,
    )


def as_engine(fake: FakeEngine) -> Engine:
    return cast(Engine, fake)


def as_tokenizer(fake: FakeTokenizer) -> Tokenizer:
    return cast(Tokenizer, fake)


def as_generation(fake: FakeGeneration) -> Generation:
    return cast(Generation, fake)


def loader_of(fake: FakeEngine, home: Path) -> ModelLoader:
    """A loader whose starter is there at once and whose engine is `fake`."""
    file = home / "starter.gguf"
    file.touch()

    def load(path: Path, options: EngineOptions, listener: LoadListener) -> Engine:
        return as_engine(fake)

    def fetch(home: Path, listener: Callable[[DownloadProgress], None]) -> Path:
        return file

    return ModelLoader(lambda: home, load=load, fetch=fetch)


def assistant_on(
    fake: FakeEngine,
    home: Path,
    tools: ToolSource | None = None,
    workbench: Workbench | None = None,
    exposure: Exposure | None = None,
) -> Assistant:
    """An assistant whose model is ready."""
    toolbox = Toolbox([tools] if tools else [])
    assistant = Assistant(loader_of(fake, home), toolbox, workbench, exposure)
    assistant.open_model(None)
    state = assistant.model_state
    while type(state).__name__ not in ("Ready", "Failed"):
        state = assistant.wait_model(state)
    return assistant

"""The engine's doorway: token ids in, token ids out. Nothing else here is for use from outside."""

from engine.config import (
    KV_TYPES,
    EngineOptions,
    LoadListener,
    LoadProgress,
    LoadStage,
    ModelConfig,
    SamplingParams,
    asked_kv_type,
)
from engine.constraint import Constraint
from engine.download import DownloadProgress
from engine.engine import Engine
from engine.errors import (
    BadLogits,
    BadModelFile,
    BadSetting,
    CacheNotWritable,
    ConstraintFailed,
    DiskFull,
    DownloadFailed,
    EngineClosed,
    EngineError,
    NotEnoughMemory,
    NothingAllowed,
    PromptTooLong,
    UnsupportedModel,
)
from engine.events import (
    Finished,
    FinishReason,
    GenerationEvent,
    GenerationStats,
    PromptProgress,
    Token,
)
from engine.home import model_home
from engine.request import Generation
from engine.starter import fetch_starter
from engine.threads import asked_threads
from engine.tokenizer import Tokenizer

__all__ = [
    "KV_TYPES",
    "BadLogits",
    "BadModelFile",
    "BadSetting",
    "CacheNotWritable",
    "Constraint",
    "ConstraintFailed",
    "DiskFull",
    "DownloadFailed",
    "DownloadProgress",
    "Engine",
    "EngineClosed",
    "EngineError",
    "EngineOptions",
    "FinishReason",
    "Finished",
    "Generation",
    "GenerationEvent",
    "GenerationStats",
    "LoadListener",
    "LoadProgress",
    "LoadStage",
    "ModelConfig",
    "NotEnoughMemory",
    "NothingAllowed",
    "PromptProgress",
    "PromptTooLong",
    "SamplingParams",
    "Token",
    "Tokenizer",
    "UnsupportedModel",
    "asked_kv_type",
    "asked_threads",
    "fetch_starter",
    "model_home",
]

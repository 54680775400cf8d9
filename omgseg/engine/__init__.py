"""Hooks, the runner and checks that mmengine does not have."""

from omgseg.engine.click_loop import (
    ClickLoop,
    DetectedBoxLoop,
    NamedPromptLoop,
    ProposalLoop,
    RefinementLoop,
)
from omgseg.engine.config import ConfigError, check_arguments, merge_options
from omgseg.engine.hooks import (
    Bf16OptimWrapper,
    FiniteLossHook,
    IterationSeedHook,
    NonFiniteLossError,
    ResumeDataHook,
    VocabularyHook,
    vocabulary_of,
)
from omgseg.engine.picture_hooks import CurvesHook, DumpHook, PicturesHook
from omgseg.engine.runner import Runner, unwrap
from omgseg.models.checkpoints.hub import is_model_location, model_folder
from omgseg.models.checkpoints.loading import CheckpointError, load_weights, read_checkpoint, words_of

__all__ = [
    "Bf16OptimWrapper",
    "CheckpointError",
    "ClickLoop",
    "ConfigError",
    "CurvesHook",
    "DetectedBoxLoop",
    "DumpHook",
    "FiniteLossHook",
    "IterationSeedHook",
    "NamedPromptLoop",
    "NonFiniteLossError",
    "PicturesHook",
    "ProposalLoop",
    "RefinementLoop",
    "ResumeDataHook",
    "Runner",
    "VocabularyHook",
    "check_arguments",
    "is_model_location",
    "load_weights",
    "merge_options",
    "model_folder",
    "read_checkpoint",
    "words_of",
    "unwrap",
    "vocabulary_of",
]

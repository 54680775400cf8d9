"""Hooks, the runner and checks that mmengine does not have."""

from omgseg.engine.bf16_optim_wrapper import Bf16OptimWrapper
from omgseg.engine.checkpoint import CheckpointError, load_weights, read_checkpoint
from omgseg.engine.click_loop import ClickLoop
from omgseg.engine.config import ConfigError, check_arguments, merge_options
from omgseg.engine.curves_hook import CurvesHook
from omgseg.engine.dump_hook import DumpHook
from omgseg.engine.finite_loss_hook import FiniteLossHook, NonFiniteLossError
from omgseg.engine.iteration_seed_hook import IterationSeedHook
from omgseg.engine.pictures_hook import PicturesHook
from omgseg.engine.resume_data_hook import ResumeDataHook
from omgseg.engine.runner import Runner
from omgseg.engine.unwrap import unwrap
from omgseg.engine.vocabulary_hook import VocabularyHook, vocabulary_of

__all__ = [
    "Bf16OptimWrapper",
    "CheckpointError",
    "ClickLoop",
    "ConfigError",
    "CurvesHook",
    "DumpHook",
    "FiniteLossHook",
    "IterationSeedHook",
    "NonFiniteLossError",
    "PicturesHook",
    "ResumeDataHook",
    "Runner",
    "VocabularyHook",
    "check_arguments",
    "load_weights",
    "merge_options",
    "read_checkpoint",
    "unwrap",
    "vocabulary_of",
]

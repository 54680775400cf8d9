"""What the parts of omgseg exchange: vocabularies, tasks and encodings. Depends on no other part of the package."""

from omgseg.structures.category import Category, normalize_words
from omgseg.structures.segments import Segments
from omgseg.structures.task import Task
from omgseg.structures.vocabulary import NO_CLASS, Vocabulary

__all__ = ["NO_CLASS", "Category", "Segments", "Task", "Vocabulary", "normalize_words"]

"""CLIP: the image encoder, and the text encoder that turns words into class embeddings."""

from omgseg.models.clip.image_encoder import ImageEncoder
from omgseg.models.clip.templates import TEMPLATES
from omgseg.models.clip.text_encoder import TextEncoder

__all__ = ["TEMPLATES", "ImageEncoder", "TextEncoder"]

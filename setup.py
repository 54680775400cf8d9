"""Installs the package. Ranges are here; requirements/lock.txt pins the versions that are tested."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "omgseg" / "__init__.py").read_text(), re.MULTILINE)
README = ROOT / "README.md"

setup(
    name="omgseg",
    version=VERSION.group(1),
    description="One model for all segmentation: images, videos, open vocabulary, prompts",
    long_description=README.read_text() if README.exists() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["omgseg", "omgseg.*"]),
    package_data={"omgseg": ["**/*.json"]},
    install_requires=[
        "av>=12",
        "cityscapesscripts>=2.2",
        "faster-coco-eval>=1.6",
        "huggingface_hub>=0.25",
        "matplotlib>=3.8",
        "numpy>=1.26",
        "onedl-mmcv>=2.3,<3",
        "onedl-mmdetection>=3.5,<4",
        "onedl-mmengine>=0.10.10,<1",
        "open_clip_torch>=3.0",
        "opencv-python>=4.8",
        "pillow>=10",
        "pycocotools>=2.0.8",
        "safetensors>=0.4",
        "scipy>=1.11",
        "timm>=1.0.17",
        "torch>=2.6",
        "torchvision>=0.21",
        "tqdm>=4.60",
    ],
    extras_require={
        "dev": [
            "lvis>=0.5.3",
            "playwright>=1.50",
            "pytest>=8",
            "ruff>=0.17",
            "supervision>=0.25",
            "tensorboard>=2.17",
        ],
        "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30"],
        "ray": ["ray[data]>=2.40"],
        "web": ["gradio>=6.31,<7"],
    },
    entry_points={"console_scripts": ["omgseg=omgseg.cli.main:main"]},
)

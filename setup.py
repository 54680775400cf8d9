"""Installs the package. Ranges are here; requirements/lock.txt pins the versions that are tested."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.+)"$', (ROOT / "omgseg" / "__init__.py").read_text(), re.MULTILINE)
README = ROOT / "README.md"
SHIPPED = ("configs", "projects")
"""Folders of the repository's top that the wheel has inside of the package (omgseg/model_table.py finds them)."""


class BuildWithConfigs(build_py):
    """Copies the shipped folders into the package that is built; an editable installation reads them in place."""

    def run(self) -> None:
        super().run()
        for source, target in self._shipped():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [*super().get_outputs(include_bytecode), *(str(target) for _, target in self._shipped())]

    def _shipped(self) -> list[tuple[Path, Path]]:
        """Files and their copies; tests stay in the repository."""
        if self.editable_mode:
            return []
        package = Path(self.build_lib) / "omgseg"
        return [
            (file, package / file.relative_to(ROOT))
            for folder in SHIPPED
            for file in sorted((ROOT / folder).rglob("*"))
            if file.is_file() and not {"__pycache__", "tests"} & set(file.relative_to(ROOT).parts)
        ]


setup(
    name="omgseg",
    version=VERSION.group(1),
    description="One model for all segmentation: images, videos, open vocabulary, prompts",
    long_description=README.read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords=[
        "image segmentation",
        "interactive segmentation",
        "open vocabulary",
        "panoptic segmentation",
        "video segmentation",
    ],
    classifiers=[
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    python_requires=">=3.10",
    packages=find_packages(include=["omgseg", "omgseg.*"]),
    cmdclass={"build_py": BuildWithConfigs},
    package_data={"omgseg": ["**/*.json"]},
    install_requires=[
        "av>=14.1,<19",
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
        "pyarrow>=15",
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
            "pytest-xdist>=3.6",
            "ruff>=0.17",
            "supervision>=0.25",
            "tensorboard>=2.17",
            "transformers>=5.20,<6",
        ],
        "docs": ["mkdocs-material>=9.6", "mkdocstrings[python]>=0.30"],
        "export": ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.5.4", "torch>=2.7"],
        "guests": ["transformers>=5.20,<6"],
        "ray": ["ray[data]>=2.40"],
        "web": ["gradio>=6.31,<7"],
    },
    entry_points={"console_scripts": ["omgseg=omgseg.cli.main:main"]},
)

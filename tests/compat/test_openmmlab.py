"""The stand-in for mmcv's compiled operators: present when they are absent, and only then."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from omgseg.compat import MissingOperatorError, install

without_operators = pytest.mark.skipif(
    getattr(importlib.util.find_spec("mmcv._ext"), "origin", None) is not None,
    reason="mmcv has its operators here",
)


def run_python(code: str, path: str = "") -> subprocess.CompletedProcess:
    """Run ``code`` in a fresh interpreter with ``path`` first on its search path."""
    root = str(Path(__file__).parents[2])
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [path, root]))}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, timeout=120)


def test_mmdet_models_imports_and_prints_nothing():
    done = run_python("import omgseg\nimport mmdet.models, mmdet.datasets")
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert "OneDL" not in done.stderr


def test_importing_omgseg_stays_light():
    done = run_python("import omgseg, sys; print({'torch', 'mmcv', 'mmdet'} & set(sys.modules))")
    assert done.stdout.strip() == "set()", done.stderr


@without_operators
def test_calling_an_absent_operator_says_which_and_how_to_get_it():
    from mmcv.ops import RoIAlign, nms

    with pytest.raises(MissingOperatorError, match=r"'nms'.*onedl-mmcv"):
        nms(torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1), 0.5)
    with pytest.raises(MissingOperatorError, match="'roi_align_forward'"):
        RoIAlign(2)(torch.zeros(1, 1, 4, 4), torch.zeros(1, 5))


def test_install_is_idempotent():
    install()
    before = list(sys.meta_path)
    install()
    assert sys.meta_path == before


def test_compiled_operators_are_preferred(tmp_path):
    package = tmp_path / "mmcv"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "_ext.py").write_text("def nms():\n    return 'compiled'\n")
    done = run_python("import omgseg, mmcv._ext\nprint(mmcv._ext.nms())", path=str(tmp_path))
    assert done.stdout.strip() == "compiled", done.stderr

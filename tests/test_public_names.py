"""``import omgseg`` is light and offers the public names."""

from __future__ import annotations

import subprocess
import sys

import pytest

import omgseg

HEAVY = {"torch", "numpy", "cv2", "mmengine", "mmcv", "mmdet", "open_clip", "gradio", "PIL", "av"}


def test_the_import_loads_nothing_heavy():
    program = f"import omgseg, sys; print(sorted({HEAVY} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_table_of_models_loads_no_framework():
    program = (
        "import omgseg, sys; omgseg.list_models(); print({'torch', 'mmengine', 'mmdet'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_a_first_name_makes_mmcv_usable_without_compiled_operators():
    program = "import omgseg; import mmdet.models; from mmcv.ops import nms; print(omgseg.Task.VOS.value)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "vos\n"


@pytest.mark.parametrize("name", omgseg.__all__)
def test_a_public_name_is_there_and_documented(name):
    found = getattr(omgseg, name)
    assert found.__doc__ and name in dir(omgseg)
    assert getattr(omgseg, name) is found


def test_other_names_are_an_attribute_error():
    with pytest.raises(AttributeError, match="'omgseg' has no attribute 'Loader'"):
        omgseg.Loader  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Loader'"):
        from omgseg import Loader  # noqa: F401

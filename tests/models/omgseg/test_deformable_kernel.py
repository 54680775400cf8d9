"""The Triton kernels of deformable attention, in Triton's interpreter."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = Path(__file__).with_name("triton_in_interpreter.py")
TOLERANCES = {"torch.float32": 1e-5, "torch.bfloat16": 8e-3, "torch.float16": 1e-3}
"""Of half precision: a step of the type, as Triton's interpreter cuts digits where GPUs round them."""


@pytest.fixture(scope="module")
def deviations():
    pytest.importorskip("triton")
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = {**os.environ, "TRITON_INTERPRET": "1", "PYTHONPATH": paths}
    finished = subprocess.run(
        [sys.executable, "-W", "ignore", str(PROGRAM)], capture_output=True, text=True, env=variables
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_kernels_equal_the_pytorch_form_with_their_gradients(deviations, dtype):
    cases = {name: case for name, case in deviations.items() if name.startswith(dtype)}
    assert cases
    for case in cases.values():
        assert case.keys() == {"attended", "to_value", "to_locations", "to_weights"}
        assert max(case.values()) < TOLERANCES[dtype]

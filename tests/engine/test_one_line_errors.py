"""What the tools say last: one line about a file, also where a worker read it, and a traceback of everything else."""

import pytest
from torch.utils.data import DataLoader, Dataset

from omgseg.engine.config import NonFiniteLossError, one_line_errors


class Broken(Dataset):
    """Raises what it is given."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        raise self.error


ABOUT_FILES = [
    OSError("data/1.jpg is truncated"),
    FileNotFoundError("data/1.jpg not found"),
    ValueError("data/a.json: 'id' is 'x', not a whole number"),
]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", ABOUT_FILES, ids=lambda error: type(error).__name__)
def test_an_error_about_a_file_is_one_line(error, workers):
    with pytest.raises(SystemExit) as leave, one_line_errors():
        next(iter(DataLoader(Broken(error), num_workers=workers)))
    assert leave.value.code == f"{type(error).__name__}: {error}"


def test_a_training_that_diverges_is_one_line():
    with pytest.raises(SystemExit, match="NonFiniteLossError: iteration 3: loss = nan"), one_line_errors():
        raise NonFiniteLossError("iteration 3: loss = nan")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_mistake_in_the_code_keeps_its_traceback(workers):
    with pytest.raises(ValueError, match="shapes do not fit"), one_line_errors():
        next(iter(DataLoader(Broken(ValueError("shapes do not fit")), num_workers=workers)))

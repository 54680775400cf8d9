"""Numbers of what a stream has shown."""

import torch

from omgseg.models.omgseg.streaming import Identities


def test_numbers_count_what_is_new_and_are_never_given_twice():
    identities = Identities()
    assert identities.numbers(torch.tensor([40, 7])).tolist() == [1, 2]
    assert identities.numbers(torch.tensor([7, 9, 40])).tolist() == [2, 3, 1]
    identities.keep(torch.tensor([7, 8]))
    assert identities.numbers(torch.tensor([40, 7])).tolist() == [4, 2]


def test_classes_of_an_entity_have_numbers_of_their_own():
    identities = Identities()
    entities = torch.tensor([5, 5, 6])
    assert identities.numbers(entities, torch.tensor([0, 3, 0])).tolist() == [1, 2, 3]
    assert identities.numbers(entities, torch.tensor([3, 0, 1])).tolist() == [2, 1, 4]


def test_what_is_forgotten_takes_no_memory():
    identities = Identities()
    for entity in range(100):
        identities.numbers(torch.tensor([entity]))
        identities.keep(torch.tensor([entity]))
    assert len(identities._numbers) == 1

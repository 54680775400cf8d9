"""Which slot an entity of a stream takes, and what is remembered there."""

import torch
from torch.testing import assert_close

from omgseg.models.mask_queries.video import associate_queries
from omgseg.models.omgseg.streaming import CAPACITY, SlotMemory

WAYS = torch.eye(12)
HERE, GONE = 0.9, 0.01


def see(memory: SlotMemory, *entities: int, gone: tuple[int, ...] = ()) -> list[int]:
    """Identities of entities, one query each; queries of `gone` show nothing."""
    rows = [*entities, *gone]
    presence = torch.tensor([HERE] * len(entities) + [GONE] * len(gone))
    slots = memory.update(WAYS[rows], presence, number=torch.tensor(rows).float())
    assert len(set(slots.tolist())) == len(rows)
    return memory.identities[slots].tolist()


def test_identities_follow_the_entities_through_the_queries():
    memory = SlotMemory()
    assert see(memory, 0, 1, 2) == [1, 2, 3]
    assert see(memory, 2, 0, 1) == [3, 1, 2]


def test_a_new_entity_gets_a_new_identity_and_no_past():
    memory = SlotMemory()
    see(memory, 0, 1, 2)
    assert see(memory, 0, 1, 7) == [1, 2, 4]
    slot = memory.identities.tolist().index(4)
    assert memory.means["number"][slot] == 7


def test_how_unlike_its_past_an_entity_may_look_is_the_models_own_value():
    queries = torch.tensor([[1.0, 0.0], [0.5, 0.75**0.5]])  # a cosine of a half
    for recognition, identity in ((0.4, 1), (0.6, 2)):
        memory = SlotMemory(recognition)
        memory.update(queries[:1], torch.tensor([HERE]))
        slot = memory.update(queries[1:], torch.tensor([HERE]))
        assert memory.identities[slot].item() == identity


def test_who_returns_gets_the_old_identity():
    memory = SlotMemory()
    see(memory, 0, 1, 2)
    for _ in range(20):
        see(memory, 0, 1, 7)
    assert see(memory, 0, 1, 2) == [1, 2, 3]


def test_a_query_that_shows_nothing_leaves_the_memory_as_it_is():
    memory = SlotMemory()
    see(memory, 0, 1)
    for _ in range(20):
        see(memory, 0, gone=(9,))
    assert see(memory, 0, 1) == [1, 2]


def test_the_longest_away_makes_room_except_for_what_is_kept():
    memory = SlotMemory()
    see(memory, 0, 1)
    assert len(memory.identities) == 2 * CAPACITY
    kept = memory.update(WAYS[[0, 1]], torch.tensor([HERE, HERE]))[:1]
    memory.keep(kept)
    for entity in range(2, 12, 2):
        see(memory, entity, entity + 1)
    assert see(memory, 0, 11)[0] == 1
    assert see(memory, 1, 11)[0] > 12  # forgotten
    assert len(memory.identities) == 2 * CAPACITY


def test_means_are_weighted_by_presence_and_the_past_fades():
    memory = SlotMemory()
    for value, presence in ((1.0, 0.8), (5.0, 0.8), (100.0, 1e-4)):
        memory.update(WAYS[:1], torch.tensor([presence]), value=torch.tensor([value]))
    mean = memory.means["value"][0].item()
    assert 3.2 < mean < 4  # more than the plain mean of the first two, and nothing of the third
    once = SlotMemory()
    once.update(WAYS[:1], torch.tensor([0.3]), value=torch.tensor([0.1]))
    assert_close(once.means["value"][0], torch.tensor(0.1), rtol=0, atol=0)


def test_nearly_equal_queries_are_told_apart_under_autocast():
    """Their similarities differ by less than bfloat16 can say."""
    torch.manual_seed(0)
    queries = torch.randn(1, 64) + 0.02 * torch.randn(30, 64)
    order = torch.randperm(30)
    memory = SlotMemory()
    with torch.autocast("cpu", torch.bfloat16):
        first = memory.update(queries, torch.ones(30))
        assert torch.equal(memory.update(queries[order], torch.ones(30)), first[order])
        assert torch.equal(associate_queries(queries, queries[order]), order.argsort())

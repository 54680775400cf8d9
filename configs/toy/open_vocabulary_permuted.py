"""The control of open_vocabulary.py: the same images, with the novel categories' words exchanged."""

_base_ = ["./open_vocabulary.py"]

test_dataloader = dict(dataset=dict(vocabulary=_base_.root + "annotations/permuted_vocabulary.json"))

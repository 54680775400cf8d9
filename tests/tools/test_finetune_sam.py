"""configs/sam/finetune_coco.py and the same of the small relatives, on the toy world's COCO files."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from mmengine.config import Config

import omgseg
from omgseg.engine import read_checkpoint
from omgseg.engine.runner import Runner
from omgseg.registry import MODELS

SIDE = 64
SMALL = dict(
    sam=dict(width=32, depth=2, num_heads=2, window_size=4, global_layers=(1,), patch_size=16),
    mobile_sam=dict(trunk=dict(embed_dims=(8, 8, 20, 20), depths=(1, 1, 1, 1))),
    edge_sam=dict(trunk_options=dict(embed_dim=(8, 8, 16, 16), depth=(1, 1, 1, 1))),
    efficient_sam=dict(width=32, depth=2, num_heads=2),
)
"""Image encoders of a fraction of the size."""
CONFIGS = dict(
    sam="configs/sam/finetune_coco.py",
    mobile_sam="projects/mobile_sam/configs/finetune_coco.py",
    edge_sam="projects/edge_sam/configs/finetune_coco.py",
    efficient_sam="projects/efficient_sam/configs/finetune_coco.py",
)


@pytest.fixture
def small(root, toy_root, tmp_path, monkeypatch):
    """``small(name)``: the config of a model, and a file with its weights at the start."""
    monkeypatch.setenv("OMGSEG_DATA", str(toy_root / "data"))

    def small(name: str) -> Config:
        config = Config.fromfile(root / CONFIGS[name])
        config.model.image_encoder.update(SMALL[name], image_size=SIDE, embed_dim=32)
        config.model.prompt_encoder.update(image_size=SIDE, embed_dim=32)
        config.model.mask_decoder.update(embed_dim=32, num_heads=2, mlp_dim=32, iou_hidden_dim=32)
        config.model.train_cfg.update(max_objects=2, num_clicks=1)
        config.train_dataloader.update(batch_size=2, num_workers=0, persistent_workers=False)
        config.train_dataloader.dataset.image_size = (SIDE, SIDE)
        config.train_cfg.max_iters = 2
        config.optim_wrapper.optimizer.lr = 1e-2
        config.param_scheduler = []
        config.work_dir = str(tmp_path / "run")
        config.load_from = str(tmp_path / "published.pth")
        torch.manual_seed(0)
        torch.save(MODELS.build(config.model).state_dict(), config.load_from)
        return config

    return small


@pytest.mark.parametrize("is_frozen", [True, False])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_published_file_is_fine_tuned(name, is_frozen, small):
    config = small(name)
    assert config.model.freeze_image_encoder, "as the documentation says"
    config.model.freeze_image_encoder = is_frozen
    Runner.from_cfg(config).train()
    before = read_checkpoint(config.load_from)["state_dict"]
    after = read_checkpoint(f"{config.work_dir}/iter_2.pth")["state_dict"]
    assert set(after) == set(before)
    changed = {key.split(".")[0] for key in after if not torch.equal(after[key], before[key])}
    assert changed == {"prompt_encoder", "mask_decoder"} | (set() if is_frozen else {"image_encoder"})

    predictor = omgseg.OMGSegInferencer(config.work_dir, device="cpu").interactive
    predictor.set_image(np.zeros((40, 50, 3), np.uint8))
    assert predictor.predict(points=(20, 20)).masks.shape == (1, 40, 50)

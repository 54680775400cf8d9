"""omgseg models."""

import json
from pathlib import Path

from omgseg.cli.main import main


def test_the_list_says_what_a_user_chooses_by(capsys):
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "omg-seg-convnext-l  (220.8 M parameters)" in text
    assert "hf://LXT/OMG_Seg/omg_seg_convl.pth (84 MB, not cached)" in text
    assert "hf:facebook/sam3 (gated, not cached)" in text and "clipseg-rd64\n" in text
    for line in ("tasks    everything, instance", "licence  unknown", "COCO PQ 53.8"):
        assert line in text


def test_the_list_as_json(capsys):
    assert main(["models", "--json"]) == 0
    first, *_ = json.loads(capsys.readouterr().out)
    assert first["name"] == "omg-seg-convnext-l" and Path(first["config"]).is_file()
    assert first["cached"] is False and first["parameters"] == 220781185
    assert first["tasks"] == ["everything", "instance", "interactive", "panoptic", "semantic", "vos"]

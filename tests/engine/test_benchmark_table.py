"""Outcomes of benchmarks as a table."""

import json

from omgseg.engine.benchmarks import Outcome, table, write_table

PAPER = {"convnext_l": 53.8, "convnext_xxl": 55.4}
RUN = Outcome("coco", {"a/PQ": 50.04, "a/SQ": 80.0}, {"a/PQ": PAPER, "a/AP": {}}, 0.25, 2_500_000_000)
MISSING = Outcome("ovis", listed={"b/AP": {}}, note="data missing: data/ovis not found")


def test_it_lists_what_the_benchmark_names_beside_the_papers_figures():
    lines = table([RUN, MISSING]).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:5]]
    assert cells[0][:5] == ["benchmark", "metric", "ours", "paper, ConvNeXt-L", "paper, XXL"]
    assert cells[2] == ["coco", "a/PQ", "50.0", "53.8", "55.4", "0.25", "2.50"]
    assert cells[3] == ["", "a/AP", "-", "", "", "", ""]
    assert cells[4] == ["ovis", "b/AP", "-", "", "", "", ""]
    assert lines[-1] == "- ovis: data missing: data/ovis not found"


def test_a_config_that_lists_nothing_shows_all_its_numbers():
    assert "| x/IoU" in table([Outcome("own", {"x/IoU": 1.0})])


def test_files(tmp_path):
    write_table(tmp_path / "new" / "table.md", [RUN], "w.pth")
    assert "a/PQ" in (tmp_path / "new" / "table.md").read_text()
    write_table(tmp_path / "one.json", [RUN], "w.pth")
    assert json.loads((tmp_path / "one.json").read_text()) == {"a/PQ": 50.04, "a/SQ": 80.0}
    write_table(tmp_path / "two.json", [RUN, MISSING], "w.pth")
    found = json.loads((tmp_path / "two.json").read_text())
    assert found["checkpoint"] == "w.pth" and found["benchmarks"]["ovis"]["note"].startswith("data missing")
    assert list(tmp_path.glob("*.tmp")) == []


def test_undefined_numbers_are_valid_json(tmp_path):
    run = Outcome("own", {"x/AP": float("nan"), "x/IoU": 1.0})
    write_table(tmp_path / "one.json", [run], "w.pth")
    write_table(tmp_path / "two.json", [run, RUN], "w.pth")

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert json.loads((tmp_path / "one.json").read_text(), parse_constant=refuse) == {
        "x/AP": None,
        "x/IoU": 1.0,
    }
    json.loads((tmp_path / "two.json").read_text(), parse_constant=refuse)


def test_numbers_that_need_a_look_are_named():
    text = table([Outcome("own", {"x/IoU": 1.0}, {"x/IuO": {}}, note="no metric gives 'x/IuO'", failed=True)])
    assert "To be checked:" in text and "- own: no metric gives 'x/IuO'" in text and "Not run:" not in text


def test_columns_are_those_of_the_models_that_have_figures():
    small = Outcome("prompts", {"i/mIoU": 70.0}, {"i/mIoU": {"sam": 77.3, "edge_sam": 76.7}}, 0.1, 10**9)
    header = [cell.strip() for cell in table([small, MISSING]).splitlines()[0].strip("|").split("|")]
    assert header == ["benchmark", "metric", "ours", "paper, SAM-H", "EdgeSAM", "s / image", "peak GB"]
    both = table([RUN, small]).splitlines()
    assert [cell.strip() for cell in both[3].split("|")][4:8] == ["", "", "", ""], "a/AP has no figures"
    assert [cell.strip() for cell in both[4].split("|")][4:8] == ["", "", "77.3", "76.7"]

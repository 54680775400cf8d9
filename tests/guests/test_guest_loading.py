"""Where guests come from, what is refused, and that nothing is downloaded unasked."""

import builtins
import shutil
import sys

import httpx
import huggingface_hub
import pytest
import torch
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError

import omgseg
from omgseg.engine import CheckpointError
from omgseg.inference.loading import locate_model
from tests.guests.tiny import copied

NAME = "hf:facebook/tiny-coco-instance"
COMMIT = "8a9ff12404d826f98896090eb3260b6c55f996fc"


@pytest.fixture
def folder(guest_folder):
    return guest_folder("segformer")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    """An empty cache of the hub."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def cached(cache, guest_folder):
    """Puts a guest into the cache; returns its folder there."""
    place = cache / "models--facebook--tiny-coco-instance"
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text(COMMIT)
    return shutil.copytree(guest_folder("mask2former"), place / "snapshots" / COMMIT)


def test_a_name_of_the_hub_is_taken_from_the_cache(cached):
    assert locate_model(NAME) == (cached / "config.json", cached)
    assert locate_model(f"{NAME}@{COMMIT}", "random") == (cached / "config.json", None)
    model = omgseg.load(NAME, device="cpu")
    assert {task.value for task in model.abilities.tasks} == {"instance"}, "by the name"


def test_what_is_not_in_the_cache_is_downloaded_only_if_it_is_asked_for(cache, folder, monkeypatch):
    with pytest.raises(
        FileNotFoundError, match=f"{NAME} is not on this machine; weights='{NAME}' downloads it"
    ):
        omgseg.load(NAME, device="cpu")
    asked = []

    def snapshot(repository, revision, allow_patterns, local_files_only=False):
        asked.append((repository, revision, local_files_only))
        assert not any("bin" in pattern or ".py" in pattern for pattern in allow_patterns)
        return str(folder)

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert locate_model(NAME, NAME) == (folder / "config.json", folder)
    assert asked == [
        ("facebook/tiny-coco-instance", None, False),
        ("facebook/tiny-coco-instance", None, True),
    ]


@pytest.mark.parametrize("offline", [True, False])
def test_without_network_the_cache_serves_a_request(cached, monkeypatch, offline):
    def fail(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", offline)
    monkeypatch.setattr(huggingface_hub, "model_info", fail)
    assert locate_model(NAME, NAME) == (cached / "config.json", cached)
    shutil.rmtree(cached)
    with pytest.raises(FileNotFoundError) as error:
        locate_model(NAME, NAME)
    message = str(error.value)
    assert "nor could it be downloaded: no network" in message and "name their folder" in message
    assert ("unset it to download" in message) == offline


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("refused", ["model_info", "snapshot_download"])
def test_a_gated_model_says_how_to_get_access(cache, monkeypatch, refused, status):
    """The hub tells everybody about a gated model, and refuses its files."""

    def refuse(*_, **__):
        request = httpx.Request("GET", "https://huggingface.co")
        raise GatedRepoError("refused", response=httpx.Response(status, request=request))

    monkeypatch.setattr(huggingface_hub, "model_info", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, refused, refuse)
    with pytest.raises(FileNotFoundError, match="is gated: accept its licence at https://.*HF_TOKEN"):
        locate_model("hf:facebook/sam3", "hf:facebook/sam3")


@pytest.mark.parametrize("name", ["hf:facebook", "hf:", "hf:a/b/c", "hf:a/b@"])
def test_names_of_another_form(name):
    with pytest.raises(ValueError, match="is not of the form hf:owner/name"):
        locate_model(name)


def test_an_unknown_architecture_is_named_with_the_known_ones(folder, tmp_path):
    for number, (architectures, message) in enumerate(
        {
            (
                "BertForMaskedLM",
            ): r"names BertForMaskedLM, which is not a guest; the guests are .*Mask2FormerFor",
            ("SegformerForImageClassification",): "did you mean 'SegformerForSemanticSegmentation'",
            (): "names no architecture",
        }.items()
    ):
        wrong = copied(folder, tmp_path / str(number), architectures=list(architectures))
        with pytest.raises(ValueError, match=message):
            omgseg.load(wrong, device="cpu")
    (wrong / "config.json").write_text("{")
    with pytest.raises(ValueError, match="config.json is not a config of transformers"):
        omgseg.load(wrong, device="cpu")


def test_without_transformers_one_sentence_says_what_to_install(folder, config_of_fake, monkeypatch):
    for module in [name for name in sys.modules if name.partition(".")[0] == "transformers"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"not installed: pip install 'omgseg\[guests\]'$"):
        omgseg.load(folder, device="cpu")
    assert omgseg.load(config_of_fake, "random").abilities.tasks, "other models do not need it"


@pytest.fixture
def config_of_fake(tmp_path):
    from tests.fakes import write_config

    return write_config(tmp_path / "fake.py")


def test_pickles_are_not_read(folder, tmp_path, monkeypatch):
    pickled = copied(folder, tmp_path / "pickled", without=("model.safetensors",))
    torch.save({"w": torch.ones(1)}, pickled / "pytorch_model.bin")
    opened = builtins.open
    read = []
    monkeypatch.setattr(
        builtins, "open", lambda file, *a, **k: (read.append(str(file)), opened(file, *a, **k))[1]
    )
    with pytest.raises(CheckpointError, match=r"holds no \*.safetensors, and pickled weights are not read"):
        omgseg.load(pickled, device="cpu")
    assert not [file for file in read if file.endswith(".bin")]


def test_weights_of_another_model_and_damaged_ones(folder, guest_folder, tmp_path):
    other = copied(folder, tmp_path / "other", without=("model.safetensors",))
    shutil.copy(guest_folder("eomt") / "model.safetensors", other)
    with pytest.raises(CheckpointError, match="lack .* tensors of SegformerForSemanticSegmentation"):
        omgseg.load(other, device="cpu")
    (other / "model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0garbage!")
    with pytest.raises(CheckpointError, match="other cannot be read as SegformerForSemanticSegmentation"):
        omgseg.load(other, device="cpu")
    with pytest.raises(CheckpointError, match="nowhere"):
        omgseg.load(folder, tmp_path / "nowhere", device="cpu")


@pytest.mark.parametrize("name", ["segformer", "clipseg", "oneformer"])
def test_a_folder_without_a_processor(guest_folder, tmp_path, name):
    incomplete = copied(
        guest_folder(name), tmp_path / "half", without=("preprocessor_config.json", "tokenizer.json")
    )
    with pytest.raises(
        FileNotFoundError, match=r"half lacks files of the processor .*preprocessor_config.json"
    ):
        omgseg.load(incomplete, device="cpu")


def test_code_in_a_folder_is_not_run(folder, tmp_path):
    remote = copied(
        folder, tmp_path / "remote", auto_map={"AutoModel": "evil.Model", "AutoConfig": "evil.Config"}
    )
    (remote / "evil.py").write_text("raise SystemExit('run')")
    assert omgseg.load(remote, device="cpu").abilities.vocabulary


def test_class_names_of_oneformer_are_not_downloaded(guest_folder, tmp_path):
    import json

    folder = copied(guest_folder("oneformer"), tmp_path / "oneformer")
    file = folder / "preprocessor_config.json"
    content = json.loads(file.read_text())
    content |= {"class_info_file": "coco_panoptic.json", "repo_path": "shi-labs/oneformer_demo"}
    content["metadata"] = {"thing_ids": [1, 2], "class_names": []}
    file.write_text(json.dumps(content))
    vocabulary = omgseg.load(folder, device="cpu").abilities.vocabulary
    assert {word.name for word in vocabulary if word.is_thing} == {"sky", "car"}

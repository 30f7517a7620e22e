from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from small_checkpoints import head_batch, small_checkpoint, small_config, small_model

from hemobench.inference.checkpoint import open_checkpoint, write_checkpoint
from hemobench.inference.timm_layout import timm_keys, without_timm_keys
from hemobench.labels import CLASSES
from hemobench.models import create_model
from hemobench.views.slices import resize_to_square
from hemobench.views.view import ClassificationView

from ..local_hub import LocalHub

# What somebody runs who has timm and nothing of ours.
ALONE = """
import sys, json, numpy as np, timm, torch
from PIL import Image
from timm.data import create_transform, resolve_model_data_config
name, folder = sys.argv[1:]
model = timm.create_model(name, pretrained=True).eval()
transform = create_transform(**resolve_model_data_config(model))
picture = transform(Image.open(folder + "/picture.png").convert("RGB"))
images = torch.from_numpy(np.load(folder + "/images.npy"))
mean, std = (torch.tensor(model.pretrained_cfg[key])[:, None, None] for key in ("mean", "std"))
with torch.no_grad():
    np.save(folder + "/logits.npy", model((images - mean) / std).numpy())
np.save(folder + "/picture.npy", picture.numpy())
print(json.dumps(model.pretrained_cfg["label_names"]))
assert not [name for name in sys.modules if name.startswith("hemobench")]
"""


def by_timm_alone(name: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", ALONE, name, str(folder)],
        capture_output=True,
        encoding="utf-8",
        timeout=300,
        check=False,
        env={**os.environ, **environment},
        cwd=folder,
    )


@pytest.mark.parametrize("channels", [("brain", "subdural", "bone"), ("brain",)])
def test_timm_alone_gives_the_same_logits_labels_and_pictures(tmp_path: Path, channels: tuple[str, ...]) -> None:
    view = ClassificationView(channels, 64)
    checkpoint = small_checkpoint(
        tmp_path / "net", "slice-classifier", view=view, in_channels=view.channels, model_options={"drop_rate": 0.2}
    )
    images = head_batch(len(channels), 64, 64)
    np.save(tmp_path / "images.npy", images)
    grey = (head_batch(1, 90, 60, batch=1)[0, 0] * 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "picture.png")
    with LocalHub() as hub:
        commit = hub.commit("user/net", {path.name: path.read_bytes() for path in checkpoint.directory.iterdir()})
        done = by_timm_alone(
            f"hf-hub:user/net@{commit}",
            tmp_path,
            HF_ENDPOINT=hub.endpoint,
            HF_HUB_CACHE=str(tmp_path / "cache"),
            HF_HUB_DISABLE_XET="1",
        )
    assert done.returncode == 0, done.stderr
    assert tuple(json.loads(done.stdout)) == CLASSES
    with torch.no_grad():
        ours = checkpoint.build_model()(torch.from_numpy(images)).numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours, rtol=1e-6, atol=1e-6)
    if len(channels) == 3:
        # A picture that is no square: the same shape and padding, and grey levels as near as two resizers come.
        theirs = np.load(tmp_path / "picture.npy")
        own = resize_to_square(grey[None].astype(np.float32) / 255, (1.0, 1.0), 64)[0].astype(np.float32) / 255
        assert theirs.shape == (3, 64, 64)
        inside = slice(11, 53)  # of 43 columns between the padding, rounded by each in its way
        assert not theirs[0][:, :10].any()
        assert not own[:, :10].any()
        assert np.abs(theirs[0] - own)[:, inside].max() < 0.03


def test_a_folder_opens_in_timm_too(tmp_path: Path) -> None:
    import timm

    checkpoint = small_checkpoint(tmp_path / "net", "slice-classifier")
    model = timm.create_model(f"local-dir:{checkpoint.directory}", pretrained=True).eval()
    images = torch.from_numpy(head_batch(3, 64, 64))
    with torch.no_grad():
        assert torch.equal(model(images), checkpoint.build_model()(images))


def test_one_file_holds_both_and_ours_comes_back(tmp_path: Path) -> None:
    checkpoint = small_checkpoint(tmp_path / "net", "slice-classifier")
    content = json.loads((checkpoint.directory / "config.json").read_text())
    assert content["architecture"] == "resnet10t"
    assert content["num_classes"] == len(content["label_names"]) == 6
    assert content["num_features"] == 512
    assert (content["pretrained_cfg"]["first_conv"], content["pretrained_cfg"]["classifier"]) == ("conv1.0", "fc")
    assert without_timm_keys(content) == checkpoint.config.to_mapping()


def test_a_folder_from_before_opens_as_ever(tmp_path: Path) -> None:
    """Weights under `backbone.` and no timm keys, as the first checkpoints were written."""
    config = small_config("slice-classifier")
    checkpoint = small_checkpoint(tmp_path / "net", "slice-classifier")
    images = torch.from_numpy(head_batch(3, 64, 64))
    expected = checkpoint.build_model()(images)
    state = load_file(checkpoint.directory / "model.safetensors")
    save_file({f"backbone.{name}": value for name, value in state.items()}, tmp_path / "old.safetensors")
    model = small_model(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    write_checkpoint(tmp_path / "old", model, config, {}, "", commit="", command="")
    (tmp_path / "old" / "model.safetensors").write_bytes((tmp_path / "old.safetensors").read_bytes())
    (tmp_path / "old" / "config.json").write_text(json.dumps(config.to_mapping()))
    manifest = json.loads((tmp_path / "old" / "manifest.json").read_text())
    import hashlib

    for name in ("model.safetensors", "config.json"):
        data = (tmp_path / "old" / name).read_bytes()
        manifest["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    (tmp_path / "old" / "manifest.json").write_text(json.dumps(manifest))
    assert torch.equal(open_checkpoint(tmp_path / "old").build_model()(images), expected)


def test_networks_that_timm_cannot_compute_have_no_keys_of_it() -> None:
    segmenter = small_config("haemorrhage")
    assert timm_keys(segmenter, small_model(segmenter)) == {}
    # 60 pixels are no whole number of patches: our network pads them, timm's would not.
    view = ClassificationView(size=60)
    config = replace(small_config("slice-classifier"), model="timm:vit_tiny_patch16_224", view=view)
    model = create_model(config.model, task="classification", in_channels=3, num_outputs=6, image_size=view.image_size)
    assert timm_keys(config, model) == {}
    fits = replace(config, view=ClassificationView(size=64))
    model = create_model(config.model, task="classification", in_channels=3, num_outputs=6, image_size=(64, 64))
    keys = timm_keys(fits, model)
    assert keys["model_args"] == {"img_size": [64, 64]}
    assert keys["pretrained_cfg"]["fixed_input_size"] is True

import subprocess
import sys

import pytest
import torch

from hemobench.errors import UserError
from hemobench.models import count_parameters, create_model, known_models


def _create(name: str, task: str = "segmentation", **options: object) -> torch.nn.Module:
    return create_model(name, task=task, in_channels=1, num_outputs=1, **options)


def test_known_models_are_split_by_task() -> None:
    classifiers, segmenters = known_models("classification"), known_models("segmentation")
    assert classifiers == ("paper_cnn", "timm:<backbone>", "timm-unet:<backbone>")
    assert {"unet2d", "unet2.5d", "unet3d", "monai:UNet", "monai:SwinUNETR"} <= set(segmenters)
    assert known_models() == tuple(dict.fromkeys(classifiers + segmenters))


def test_unknown_model_lists_every_name() -> None:
    with pytest.raises(UserError, match="did you mean 'unet3d'") as caught:
        _create("unet3")
    assert all(name in str(caught.value) for name in known_models())
    for name in ("timm", "timm:", "monai:", ""):
        with pytest.raises(UserError, match="unknown model"):
            _create(name)


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("unet3d", "classification"),
        ("monai:UNet", "classification"),
        ("paper_cnn", "segmentation"),
        ("timm:resnet18", "segmentation"),
    ],
)
def test_a_model_of_the_other_task_is_refused(name: str, task: str) -> None:
    with pytest.raises(UserError, match=f"model '{name}' for {task}"):
        _create(name, task)


def test_unknown_option_and_task_list_what_there_is() -> None:
    with pytest.raises(UserError, match=r"unknown option of model 'unet3d' 'bas'; known: .*did you mean 'base'"):
        _create("unet3d", bas=8)
    with pytest.raises(UserError, match="known: classification, segmentation"):
        _create("unet3d", "detection")
    with pytest.raises(UserError, match="context"):
        _create("unet2.5d", context=-1)


def test_options_reach_the_model() -> None:
    assert count_parameters(_create("unet3d", base=4)) < count_parameters(_create("unet3d", base=5))
    assert _create("unet2.5d", context=2, base=2).unet.in_channels == 5
    assert _create("unet2.5d", base=2).unet.in_channels == 3


def test_no_channels_or_outputs_is_refused() -> None:
    with pytest.raises(UserError, match="in_channels=0"):
        create_model("unet3d", task="segmentation", in_channels=0, num_outputs=1)


def test_the_same_seed_gives_the_same_weights() -> None:
    torch.manual_seed(3)
    first = _create("unet3d", base=2)
    torch.manual_seed(3)
    second = _create("unet3d", base=2)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))


def test_count_parameters_of_frozen_layers() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Linear(4, 1))
    model[0].requires_grad_(False)
    assert count_parameters(model) == 21
    assert count_parameters(model, trainable=True) == 5


def test_importing_the_registry_loads_neither_timm_nor_monai() -> None:
    code = "import sys, hemobench.models, hemobench.losses; print('timm' in sys.modules, 'monai' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert result.stdout.split() == ["False", "False"]

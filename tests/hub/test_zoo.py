from __future__ import annotations

from pathlib import Path

import pytest
from shareable import shareable

from hemobench.errors import UserError
from hemobench.hub.zoo import zoo_page
from hemobench.inference.checkpoint import open_checkpoint

ROOT = Path(__file__).resolve().parents[2]


def test_the_shipped_page_is_up_to_date() -> None:
    page = (ROOT / "docs" / "model-zoo.md").read_text(encoding="utf-8")
    assert page == zoo_page(ROOT / "checkpoints"), "run: python -m hemobench.hub zoo checkpoints"


def test_the_page_says_what_the_manifests_say(tmp_path: Path) -> None:
    net = shareable(tmp_path / "checkpoints" / "net", name="net", model="timm:resnet10t")
    real = {"data": "ct-ich", "phantom": False}
    shareable(tmp_path / "checkpoints" / "outliner", "haemorrhage", name="outliner", training=real)
    page = zoo_page(tmp_path / "checkpoints")
    assert "[net](../checkpoints/net/README.md) | timm:resnet10t | 64 x 64 pixels, 3 windows" in page
    assert f"`{net.sha256[:12]}` | `c0ffee`" in page
    assert "| net | ct-ich | 5 real | auroc_any | 0.812 | 0.700 to 0.900 |" in page
    assert "- Outlines, lesions, millilitres: `outliner`." in page
    assert "- Ventricles on MRI: none yet." in page
    assert "without patient data, for training on your own patients: `net`." in page
    assert zoo_page(tmp_path / "checkpoints") == page


def test_the_papers_network_is_no_advice(tmp_path: Path) -> None:
    shareable(tmp_path / "net", name="net", model="timm:resnet10t")
    shareable(tmp_path / "old", name="old", model="paper_cnn")
    page = zoo_page(tmp_path)
    assert "which type: `net`." in page
    assert "- The 2021 paper's network, to be compared with and not to be relied on: `old`." in page


def test_a_damaged_checkpoint_is_no_line_of_the_page(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no checkpoint in"):
        zoo_page(tmp_path)
    folder = shareable(tmp_path / "net").directory
    (folder / "metrics.json").write_text("{}")
    with pytest.raises(UserError, match=r"metrics\.json has 2 bytes"):
        zoo_page(tmp_path)


@pytest.mark.parametrize("name", ["slice-classifier", "bleed", "ventricles"])
def test_shipped_checkpoints_may_be_shared(name: str) -> None:
    from hemobench.hub.metadata import check_shareable
    from hemobench.hub.transfer import verified_files

    checkpoint = open_checkpoint(ROOT / "checkpoints" / name)
    files = verified_files(checkpoint.directory)
    check_shareable(files["README.md"].decode(), checkpoint.config, checkpoint.metrics)
    assert checkpoint.people is not None

"""The third tab's parts: cards without metadata, every data set with its licence, a citation, and true words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo import texts
from demo.about import (
    checkpoint_cards,
    citation,
    dataset_rows,
    dataset_table,
    limits,
    network_origins,
    parse_card,
)
from demo.privacy import KEEP_S
from hemobench.datasets.opening import known_datasets
from hemobench.errors import UserError
from hemobench.inference.shipped import shipped_folder


def test_each_shipped_checkpoint_has_its_card() -> None:
    cards = {card.name: card for card in checkpoint_cards()}
    assert set(cards) == {"slice-classifier", "bleed", "ventricles", "ventricles-ct"}
    for card in cards.values():
        assert "license:" not in card.markdown
        assert not card.markdown.startswith("# ")
        assert "#### Limits" in card.markdown
        assert "Research use only" in card.markdown
        assert card.summary.endswith(".")


def test_a_hash_inside_code_is_no_heading() -> None:
    card = parse_card("# net\n\nFinds.\n\n```sh\n# a comment\n```\n", "net")
    assert "\n# a comment\n" in card.markdown


def test_every_data_set_stands_with_its_licence() -> None:
    rows = dataset_rows()
    assert [row["name"] for row in rows] == list(known_datasets())
    assert all(row["licence"] and row["citation"] for row in rows)
    table = dataset_table()
    assert table.count("<tr>") == len(rows) + 1
    assert 'rel="noopener noreferrer"' in table


def test_the_citation_is_bibtex_of_the_file(tmp_path: Path) -> None:
    entry = citation()
    assert entry.startswith("@software{hemobench,")
    assert "title   = {hemobench: intracranial haemorrhage on head CT, trained, measured and compared}" in entry
    broken = tmp_path / "CITATION.cff"
    broken.write_text("title: x\n")
    with pytest.raises(UserError, match=r"no usable CITATION\.cff"):
        citation(broken)


def test_limits_say_of_each_network_what_it_learned_from() -> None:
    lines = network_origins()
    for line, name in zip(lines, ("slice-classifier", "bleed", "ventricles", "ventricles-ct"), strict=True):
        training = json.loads((shipped_folder() / name / "config.json").read_text())["training"]
        assert line.startswith(f"**{name}** learned from {training.get('taught_by', 'phantoms alone')}, ")
        assert line in limits()
    assert "{" not in limits()


@pytest.mark.parametrize(
    ("phantom", "others", "says"),
    [
        (True, [], "learned from phantoms alone, and was measured on 36 phantoms, never on patients."),
        (
            True,
            [(False, "ct-ich", 63), (True, "phantom", 100)],
            "learned from phantoms alone, and was measured on 136 phantoms and 63 patients of ct-ich.",
        ),
        (False, [], "learned from patients of rsna, and was measured on 36 patients of rsna."),
    ],
)
def test_a_networks_origin_is_read_from_its_files(
    tmp_path: Path, phantom: bool, others: list[tuple[bool, str, int]], says: str
) -> None:
    folder = tmp_path / "bleed"
    folder.mkdir()
    groups = [{"phantom": one, "data": data, "patients": patients} for one, data, patients in others]
    first = {"phantom": phantom, "data": "phantom" if phantom else "rsna", "patients": 36, "others": groups}
    training = {"phantom": phantom, "data": "phantom:maps" if phantom else "rsna:folder"}
    (folder / "config.json").write_text(json.dumps({"training": training}))
    (folder / "metrics.json").write_text(json.dumps(first))
    (folder / "manifest.json").write_text("{}")
    assert network_origins(tmp_path) == (f"**bleed** {says}",)


def test_the_words_agree_with_what_the_program_does() -> None:
    assert f"{KEEP_S // 60} minutes" in texts.PRIVACY
    assert f"{KEEP_S // 60} minutes" in texts.LEADERBOARD_DROP_WORDS
    assert "never a\n  diagnosis" in texts.LIMITS

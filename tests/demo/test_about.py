"""The third tab's parts: cards without metadata, every data set with its licence, a citation, and true words."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo import texts
from demo.about import checkpoint_cards, citation, dataset_rows, dataset_table, parse_card
from demo.privacy import KEEP_S
from hemobench.datasets.registry import known_datasets
from hemobench.errors import UserError


def test_each_shipped_checkpoint_has_its_card() -> None:
    cards = {card.name: card for card in checkpoint_cards()}
    assert set(cards) == {"slice-classifier", "bleed-2d", "ventricles"}
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


def test_the_words_agree_with_what_the_program_does() -> None:
    assert f"{KEEP_S // 60} minutes" in texts.PRIVACY
    assert f"{KEEP_S // 60} minutes" in texts.LEADERBOARD_DROP_WORDS
    assert "never a\n  diagnosis" in texts.LIMITS

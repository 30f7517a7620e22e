"""What the third tab is made of: the checkpoints' cards, the data sets with their licences, the citation. No Gradio."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from demo.texts import LIMITS
from hemobench.datasets.opening import dataset_info, known_datasets
from hemobench.errors import UserError
from hemobench.inference.checkpoint import MANIFEST
from hemobench.inference.shipped import SHIPPED, shipped_folder

ROOT = Path(__file__).resolve().parents[1]
CARD, CONFIG, METRICS = "README.md", "config.json", "metrics.json"
CITATION = ROOT / "CITATION.cff"
# A card's own headings stand below those of the page.
_DEMOTED_BY = 2


@dataclass(frozen=True)
class Card:
    """A checkpoint's card: its name, its first sentence, and its markdown without metadata and title."""

    name: str
    summary: str
    markdown: str


def checkpoint_cards(folder: Path | None = None) -> tuple[Card, ...]:
    """The cards of the shipped checkpoints that are there, in the order in which they are used."""
    folder = folder or shipped_folder()
    paths = [folder / name / CARD for name in SHIPPED]
    return tuple(parse_card(path.read_text(encoding="utf-8"), path.parent.name) for path in paths if path.is_file())


def parse_card(text: str, name: str) -> Card:
    """A card from the text of a model card: metadata between `---` and the title are taken off, headings demoted.

    >>> parse_card("---\\nlicense: mit\\n---\\n\\n# net\\n\\nFinds blood. Small.\\n\\n## Limits\\n\\n- few", "net")
    Card(name='net', summary='Finds blood.', markdown='Finds blood. Small.\\n\\n#### Limits\\n\\n- few')
    """
    body = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).strip()
    body = re.sub(r"\A# [^\n]*\n", "", body).strip()
    lines, fenced = [], False
    for line in body.splitlines():
        fenced ^= line.startswith("```")
        lines.append("#" * _DEMOTED_BY + line if line.startswith("#") and not fenced else line)
    first = body.split("\n", 1)[0]
    summary = re.split(r"(?<=\.)\s", first, maxsplit=1)[0]
    return Card(name, summary, "\n".join(lines))


def network_origins(folder: Path | None = None) -> tuple[str, ...]:
    """A sentence a shipped checkpoint, from its own files: what it learned from, and on whom it was measured."""
    folder = folder or shipped_folder()
    there = [folder / name for name in SHIPPED if (folder / name / MANIFEST).is_file()]
    return tuple(_origin(one.name, _content(one / CONFIG), _content(one / METRICS)) for one in there)


def limits(folder: Path | None = None) -> str:
    """The limits in words, with what the shipped networks learned from."""
    return LIMITS.replace("{origins}", "\n".join(f"    - {line}" for line in network_origins(folder)))


def _origin(name: str, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    training = config["training"]
    simple = "phantoms alone" if training["phantom"] else f"patients of {training['data'].partition(':')[0]}"
    taught = training.get("taught_by", simple)
    groups = [metrics, *metrics.get("others", ())]
    phantoms = sum(group["patients"] for group in groups if group["phantom"])
    real = [f"{group['patients']} patients of {group['data']}" for group in groups if not group["phantom"]]
    measured = [*([f"{phantoms} phantoms"] if phantoms else []), *real]
    never = "" if real else ", never on patients"
    return f"**{name}** learned from {taught}, and was measured on {' and '.join(measured)}{never}."


def _content(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def dataset_rows() -> list[dict[str, str]]:
    """Name, title, labels, size, licence, citation and place of every data set that hemobench reads."""
    fields = ("name", "title", "labels", "size", "licence", "citation", "where")
    return [{field: getattr(dataset_info(name), field) for field in fields} for name in known_datasets()]


def dataset_table() -> str:
    """The data sets as an HTML table; every text is escaped, and addresses become links."""
    names = ("Labels", "Size", "Licence", "Source")
    head = "".join(f'<th scope="col">{name}</th>' for name in ("Data set", *names))
    rows = []
    for row in dataset_rows():
        shown = {name: _coded(html.escape(value)) for name, value in row.items()}
        source = f"{shown['citation']}<br>{_linked(shown['where'])}"
        values = (shown["labels"], shown["size"], shown["licence"], source)
        cells = "".join(f'<td data-label="{name}">{value}</td>' for name, value in zip(names, values, strict=True))
        rows.append(f'<tr><th scope="row"><code>{shown["name"]}</code><br>{shown["title"]}</th>{cells}</tr>')
    return (
        '<div class="datasets" tabindex="0" role="region" aria-label="Data sets and their licences">'
        f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def citation(path: Path = CITATION) -> str:
    """BibTeX of CITATION.cff. Raises UserError where the file is missing or lacks a field."""
    try:
        fields: Mapping[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
        authors = " and ".join(f"{{{_author(one)}}}" for one in fields["authors"])
        year = str(fields["date-released"])[:4]
        return (
            f"@software{{hemobench,\n  title   = {{{fields['title']}}},\n  author  = {{{authors}}},\n"
            f"  year    = {{{year}}},\n  version = {{{fields['version']}}},\n  license = {{{fields['license']}}}\n}}"
        )
    except (OSError, KeyError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"no usable {path.name}; expected it beside the demo; take it from the repository") from error


def _author(author: Mapping[str, str]) -> str:
    return author.get("name") or f"{author['given-names']} {author['family-names']}"


def _coded(escaped: str) -> str:
    """What stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)


def _linked(escaped: str) -> str:
    """Addresses in text that is already escaped, as links that tell the other side nothing."""
    return re.sub(
        r"https://[^\s<>;,]+[^\s<>;,.]",
        lambda found: f'<a href="{found[0]}" target="_blank" rel="noopener noreferrer">{found[0]}</a>',
        escaped,
    )

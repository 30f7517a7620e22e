"""Zeta's location files, each quirk by hand."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hemobench.datasets.zeta.locations import (
    UNTYPED,
    Outline,
    parse_polygons,
    parse_reads,
    picture_id,
    read_locations,
    subtype_of_file,
)
from hemobench.errors import UserError

DETECTION = (
    "Case ID,Origin,URL,Labeling State,All Labels,Total Reads,Total Qualified Reads,Majority Label,Number of ROIs,"
    "Correct Label,Difficulty,Agreement,Comments,Internal Notes"
)
ROI = "Case ID,Origin,URL,Labeling State,All Annotations,Number of Annotations,ROI,Number of ROIs,Difficulty"
LEFT = [{"x": 0, "y": 0}, {"x": 0.5, "y": 0}, {"x": 0.5, "y": 1}, {"x": 0, "y": 1}]
TOP = [{"x": 0, "y": 0}, {"x": 1, "y": 0}, {"x": 1, "y": 0.5}, {"x": 0, "y": 0.5}]
LOW = [{"x": 0, "y": 0.5}, {"x": 1, "y": 0.5}, {"x": 1, "y": 1}, {"x": 0, "y": 1}]
EPIDURAL = "Results_Epidural Hemorrhage Detection_2020-11-16_21.31.26.148.csv"
SHAPE = (4, 4)


def detection(
    origin: str, state: str = "Labeled", majority: str = "", correct: str = "", reads: str = "[]"
) -> dict[str, str]:
    return {
        "Origin": origin,
        "Labeling State": state,
        "Majority Label": majority,
        "Correct Label": correct,
        "All Labels": reads,
    }


def write(path: Path, columns: str, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns.split(","), restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def left() -> np.ndarray:
    return np.tile([True, True, False, False], (4, 1))


def top() -> np.ndarray:
    return left().T


@pytest.mark.parametrize("text", ["", "  ", "[]", "[[]]", "[[], []]", "[ [ ] ]"])
def test_empty_values_have_no_polygons(text: str) -> None:
    assert parse_polygons(text) == ()


@pytest.mark.parametrize("text", [json.dumps(LEFT), json.dumps([LEFT]), str(LEFT), str([LEFT, []])])
def test_json_and_python_say_the_same(text: str) -> None:
    (polygon,) = parse_polygons(text)
    np.testing.assert_array_equal(polygon, [[0, 0], [0.5, 0], [0.5, 1], [0, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("__import__('os').system('true')", "characters"),
        ("[1, 2]", "no list of points"),
        ('{"x": 0, "y": 0}', "no list of points"),
        ("[" * 100_000, "no list of points"),
        ('[[[{"x": 0, "y": 0}]]]', "no list of points"),
        ('[{"x": 0}, {"x": 1}, {"x": 2}]', "without numbers"),
        ('[{"x": "y", "y": 0}, {"x": 1, "y": 0}, {"x": 1, "y": 1}]', "without numbers"),
        (json.dumps(LEFT[:2]), "polygon of 2 points"),
        (json.dumps(LEFT).replace("0.5", "512"), "outside the picture"),
        (json.dumps(LEFT).replace("0.5", "1e999"), "outside the picture"),
        (json.dumps(LEFT).replace("0.5", "9" * 5000), "no list of points|outside|numbers"),
        (json.dumps(LEFT)[:-1], "no list of points"),
        ("[" + "{'x':0,'y':0}," * 400_000 + "]", "at most"),
    ],
)
def test_what_is_no_polygon_says_why(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_polygons(text)


def test_points_a_little_outside_are_drawn_to_the_edge() -> None:
    (polygon,) = parse_polygons(json.dumps([*LEFT[1:], {"x": -0.02, "y": 1.03}]))
    np.testing.assert_array_equal(polygon[-1], [0, 1])


def test_reads_of_all_labels() -> None:
    texts = [json.dumps([LEFT]), json.dumps([TOP]), "[]"]
    for text in (str(np.array(texts, dtype=object)), json.dumps(texts)):
        reads = parse_reads(text)
        assert [len(polygons) for polygons in reads] == [1, 1, 0]
        np.testing.assert_array_equal(reads[1][0][2], [1, 0.5])
    assert parse_reads("[]") == parse_reads("") == ()


def test_half_of_the_readers_make_blood() -> None:
    reads = parse_reads(str(np.array([json.dumps(LEFT), json.dumps(TOP), json.dumps(LEFT), "[]"], dtype=object)))
    # Two of four mark the left half, one the upper: with two votes needed, the left.
    np.testing.assert_array_equal(Outline(1, reads).mask(SHAPE), left())
    np.testing.assert_array_equal(Outline(1, reads[:2]).mask(SHAPE), left() | top())


def test_names_tell_types_and_pictures() -> None:
    assert subtype_of_file(EPIDURAL) == 1
    assert subtype_of_file("Results_Subdural Hemorrhage Detection (1).csv") == 5
    assert subtype_of_file("Results_Multiple Hemorrhage Detection.csv") == UNTYPED
    assert subtype_of_file("Results_Brain Hemorrhage Tracing.csv") == UNTYPED
    assert picture_id("ID_004c4b319.jpg") == picture_id(" https://host/a/ID_004c4b319.jpg") == "ID_004c4b319"


def test_rows_of_one_picture_are_put_together(tmp_path: Path) -> None:
    path = write(
        tmp_path / EPIDURAL,
        DETECTION,
        [
            detection("ID_a.jpg", majority=json.dumps(LEFT)),
            detection("ID_a.jpg", majority=json.dumps(TOP)),
            detection("ID_gold.jpg", "Gold Standard", json.dumps(TOP), str([LEFT]), str([json.dumps(LOW)])),
            detection("ID_gold.jpg", "Gold Standard", json.dumps(LOW), str([LEFT]), str([json.dumps(LOW)])),
            detection("ID_empty.jpg", "Gold Standard", "[]", "[[], []]"),
            detection("ID_ready.jpg", "Ready", json.dumps(LEFT)),
            detection("ID_progress.jpg", "In Progress", json.dumps(LEFT)),
            detection("ID_elsewhere.jpg", majority=json.dumps(LEFT)),
        ],
    )
    wanted = {"ID_a", "ID_gold", "ID_empty", "ID_ready", "ID_progress"}
    masks = {}
    for source in ("best", "majority", "correct", "all"):
        found = read_locations([path], wanted, source)
        assert found.warnings == []
        masks[source] = {name: outlines[0].mask(SHAPE) for name, outlines in found.outlines.items()}
    assert [set(masks[source]) for source in masks] == [
        {"ID_a", "ID_gold"},
        {"ID_a", "ID_gold"},
        {"ID_gold"},
        {"ID_a", "ID_gold"},
    ]
    np.testing.assert_array_equal(masks["best"]["ID_a"], left() | top())
    np.testing.assert_array_equal(masks["best"]["ID_gold"], left())
    np.testing.assert_array_equal(masks["majority"]["ID_gold"], np.ones(SHAPE, dtype=bool))
    np.testing.assert_array_equal(masks["all"]["ID_gold"], ~top())
    assert read_locations([path], wanted).notes == [
        f"{EPIDURAL}: 2 rows not read to the end (Ready, In Progress); left out",
        f"{EPIDURAL}: outlines of 1 pictures that are not used here",
    ]


def test_the_intraventricular_schema(tmp_path: Path) -> None:
    rows = [
        {"Origin": "ID_v.jpg", "Labeling State": "Labeled", "ROI": json.dumps(LEFT)},
        {"Origin": "ID_v.jpg", "Labeling State": "Labeled", "ROI": "[]"},
    ]
    path = write(tmp_path / "Results_Intraventricular Hemorrhage Tracing.csv", ROI, rows)
    (outline,) = read_locations([path], {"ID_v"}).outlines["ID_v"]
    assert outline.subtype == 3
    np.testing.assert_array_equal(outline.mask(SHAPE), left())


def test_identical_files_are_read_once_and_others_add_up(tmp_path: Path) -> None:
    rows = [detection("ID_a.jpg", majority=json.dumps(LEFT))]
    paths = [write(tmp_path / f"Results_Subdural Hemorrhage {n}.csv", DETECTION, rows) for n in (1, 2)]
    paths.append(write(tmp_path / EPIDURAL, DETECTION, [detection("ID_a.jpg", majority=json.dumps(TOP))]))
    found = read_locations(paths, {"ID_a"})
    assert sorted(outline.subtype for outline in found.outlines["ID_a"]) == [1, 5]
    assert found.notes == [
        "Results_Subdural Hemorrhage 2.csv: the same bytes as Results_Subdural Hemorrhage 1.csv; read once"
    ]


def test_broken_rows_and_files_are_named_and_the_rest_is_read(tmp_path: Path) -> None:
    good = detection("ID_a.jpg", majority=json.dumps(LEFT))
    path = write(
        tmp_path / EPIDURAL,
        DETECTION,
        [
            good,
            detection("ID_b.jpg", majority="[{"),
            detection("ID_c.jpg", "Gold Standard", correct="eval(1)"),
            detection("ID_d.jpg", "Maybe", json.dumps(LEFT)),
        ],
    )
    foreign = tmp_path / "Results_Subdural.csv"
    foreign.write_text("a,b\n1,2\n")
    binary = tmp_path / "Results_Subarachnoid.csv"
    binary.write_bytes(b"Origin\xff\x00")
    found = read_locations([path, foreign, binary], {"ID_a", "ID_b", "ID_c", "ID_d"})
    assert set(found.outlines) == {"ID_a"}
    text = "\n".join(found.warnings)
    for part in (
        "148.csv line 3: outlines of ID_b",
        "148.csv line 4: outlines of ID_c",
        "148.csv line 5: Labeling State 'Maybe'",
        "Results_Subdural.csv has no column Origin",
        "Results_Subarachnoid.csv line 1 holds a NUL",
    ):
        assert part in text
    assert len(found.warnings) == 5


def test_unknown_sources_are_named() -> None:
    with pytest.raises(UserError, match="did you mean 'majority'"):
        read_locations([], (), "majorty")

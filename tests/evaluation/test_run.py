from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hand_made import blood_checkpoint, slice_checkpoint, ventricle_checkpoint

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import BHSD, INSTANCE22, PHANTOM_T1, RSNA
from hemobench.datasets.patient_hashes import People, person_hash
from hemobench.errors import UserError
from hemobench.evaluation.run import METRICS, PREDICTIONS, Evaluation, check_measurable, check_seen, evaluate
from hemobench.inference.checkpoint import Checkpoint, open_checkpoint
from hemobench.labels import slice_labels_from_label_map
from hemobench.volume import Volume, display_affine

SHAPE, SPACING = (8, 64, 64), (5.0, 3.5, 3.5)


def head(number: int, *, typed: bool = True, missed_ml: int = 0) -> Loaded:
    """Brain of 32 HU in air; odd heads have 80 HU of intraparenchymal blood in slices 3 to 5."""
    voxels = np.full(SHAPE, -1000.0, dtype=np.float32)
    voxels[:, 8:56, 10:54] = 32.0
    label_map = np.zeros(SHAPE, dtype=np.uint8)
    if number % 2:
        label_map[3:6, 20:34, 20 + number : 34 + number] = 2
        voxels[label_map > 0] = 80.0
    image = Volume(voxels, display_affine(SHAPE, SPACING))
    if not typed:
        return Loaded(image, None, None, blood_mask=label_map > 0)
    return Loaded(image, label_map, slice_labels_from_label_map(label_map))


def broken() -> Loaded:
    raise UserError("scan 9 is damaged; expected a whole one; copy it again")


def dataset(info: Any = BHSD, count: int = 6, *, typed: bool = True, **options: Any) -> Dataset:
    cases = tuple(
        Case(f"p{number}", f"s{number}", info.name, info.lineage, None, partial(head, number, typed=typed))
        for number in range(count)
    )
    return Dataset(info, cases, f"{info.name} {count}", (), **options)


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(slice_checkpoint(tmp_path_factory.mktemp("made") / "slices", gain=800.0))


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return open_checkpoint(blood_checkpoint(tmp_path_factory.mktemp("made") / "blood"))


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_classifier_that_sees_blood_is_right_everywhere(classifier: Checkpoint, tmp_path: Path) -> None:
    result = evaluate(classifier, dataset(), tmp_path, engine="torch")
    assert (result.patients, result.slices, result.unit) == (6, 48, "patient")
    for name in ("auroc_any", "auroc_intraparenchymal", "auroc_any_study", "sensitivity_at_call_any_study"):
        assert result.metrics[name]["mean"] == 1.0, name
    assert np.isnan(result.metrics["auroc_subdural"]["mean"])
    rows = rows_of(tmp_path / PREDICTIONS)
    assert len(rows) == 48
    for row in rows:
        assert (float(row["probability_any"]) >= 0.5) == (row["called_any"] == "1")
    bleeding = {(row["study"], int(row["slice"])) for row in rows if row["target_intraparenchymal"] == "1"}
    assert bleeding == {(f"s{number}", index) for number in (1, 3, 5) for index in (3, 4, 5)}


def test_masks_alone_give_labels_of_slices_without_types(classifier: Checkpoint, tmp_path: Path) -> None:
    result = evaluate(classifier, dataset(INSTANCE22, typed=False), tmp_path, engine="torch")
    assert result.metrics["auroc_any"]["mean"] == 1.0
    assert "auroc_macro" not in result.metrics
    assert rows_of(tmp_path / PREDICTIONS)[0]["target_subdural"] == ""
    assert any("not which type" in note for note in result.notes)


def test_a_segmenter_has_scores_of_cases_and_of_slices(segmenter: Checkpoint, tmp_path: Path) -> None:
    result = evaluate(segmenter, dataset(), tmp_path, engine="torch", masks=True)
    assert result.metrics["dice_filled_any"]["mean"] > 0.9
    assert result.metrics["dice_filled_any"]["undefined"] == 3
    assert result.metrics["lesion_sensitivity_any"]["mean"] == 1.0
    assert result.metrics["false_lesions_any"]["mean"] == 0.0
    assert result.metrics["dice_intraparenchymal"]["mean"] > 0.9
    assert result.metrics["volume_ml_true_any"]["mean"] == pytest.approx(3 * 14 * 14 * 61.25 / 1000 / 2)
    assert result.metrics["auroc_any_study"]["mean"] == 1.0
    assert len(rows_of(tmp_path / PREDICTIONS)) == 6
    assert len(rows_of(tmp_path / "slices.csv")) == 48
    assert sorted(path.name for path in (tmp_path / "masks").iterdir()) == [f"s{n}.nii.gz" for n in range(6)]


def test_without_millimetres_there_are_no_millilitres(segmenter: Checkpoint, tmp_path: Path) -> None:
    data = dataset(count=2)
    data = replace(data, cases=tuple(replace(case, spacing_known=False) for case in data.cases))
    result = evaluate(segmenter, data, tmp_path, engine="torch")
    assert "dice_any" in result.metrics
    assert not [name for name in result.metrics if "_ml" in name or "_mm" in name]


def test_a_damaged_case_is_named_and_stops_nothing(classifier: Checkpoint, tmp_path: Path) -> None:
    data = dataset()
    data = replace(data, cases=(*data.cases, Case("p9", "s9", BHSD.name, BHSD.lineage, None, broken)))
    result = evaluate(classifier, data, tmp_path, engine="torch")
    assert (result.patients, result.left_out) == (6, ("scan 9 is damaged; expected a whole one; copy it again",))
    with pytest.raises(UserError, match="none of 1 cases"):
        evaluate(classifier, replace(data, cases=data.cases[-1:], fingerprint="x"), tmp_path / "b", engine="torch")


def test_stopped_and_called_again_it_goes_on_and_says_the_same(segmenter: Checkpoint, tmp_path: Path) -> None:
    whole = evaluate(segmenter, dataset(), tmp_path / "whole", engine="torch")

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        evaluate(segmenter, dataset(), tmp_path / "cut", engine="torch", progress=stop)
    assert not (tmp_path / "cut" / METRICS).exists()
    rest = evaluate(segmenter, dataset(), tmp_path / "cut", engine="torch")
    assert (rest.speed["cases_before"], rest.speed["cases"]) == (4, 2)
    assert json.dumps(rest.metrics) == json.dumps(whole.metrics)
    again = evaluate(segmenter, dataset(), tmp_path / "cut", engine="torch", progress=stop)
    assert again.speed == rest.speed  # read, not measured
    assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == [METRICS, PREDICTIONS, "slices.csv"]


def test_other_data_in_the_same_folder_are_measured_anew(classifier: Checkpoint, tmp_path: Path) -> None:
    first = evaluate(classifier, dataset(count=4), tmp_path, engine="torch")
    second = evaluate(classifier, dataset(count=6), tmp_path, engine="torch")
    assert (first.patients, second.patients) == (4, 6)


def test_people_who_made_the_network_are_refused_left_out_or_marked(classifier: Checkpoint, tmp_path: Path) -> None:
    people = People((person_hash("rsna", "p1"),), (person_hash("rsna", "p2"),), ("rsna",))
    taught = replace(classifier, people=people)
    with pytest.raises(UserError, match="1 people of 'bhsd' taught checkpoint") as caught:
        check_seen(taught, dataset())
    assert "\n" not in str(caught.value)
    rest = check_seen(taught, dataset(), leave_out=True)
    assert [case.patient_id for case in rest.cases] == ["p0", "p3", "p4", "p5"]
    assert rest.fingerprint != dataset().fingerprint
    marked = evaluate(taught, check_seen(taught, dataset(), allow=True), tmp_path, engine="torch")
    assert marked.seen == {"taught": 1, "chose": 1}
    assert marked.notes[0].startswith("SEEN: 1 of these people taught")
    with pytest.raises(UserError, match="all people"):
        check_seen(taught, dataset(count=3), leave_out=True) and check_seen(
            replace(taught, people=People(tuple(person_hash("rsna", f"p{n}") for n in range(3)))),
            dataset(count=3),
            leave_out=True,
        )


def test_networks_and_data_of_other_things_are_told_apart(
    classifier: Checkpoint, segmenter: Checkpoint, tmp_path: Path
) -> None:
    ventricles = open_checkpoint(ventricle_checkpoint(tmp_path / "ventricles"))
    check_measurable(segmenter, dataset(RSNA))  # by slices
    for checkpoint, info in ((ventricles, BHSD), (classifier, PHANTOM_T1), (segmenter, PHANTOM_T1)):
        with pytest.raises(UserError, match="choose another data set or checkpoint"):
            check_measurable(checkpoint, dataset(info))


def test_the_file_holds_what_was_returned(classifier: Checkpoint, tmp_path: Path) -> None:
    result = evaluate(classifier, dataset(PHANTOM_CT), tmp_path, engine="torch")
    content = json.loads((tmp_path / METRICS).read_text())
    assert content["phantom"] is True
    assert content["notes"][0].startswith("PHANTOMS")
    assert content["metrics"]["auroc_subdural"]["mean"] is None
    assert content["checkpoint"]["sha256"] == classifier.sha256
    assert set(content) == {"schema", *Evaluation.__dataclass_fields__}
    assert content["metrics"]["auroc_any"] == {**result.metrics["auroc_any"]}


PHANTOM_CT = replace(BHSD, name="phantom", lineage="phantom", phantom=True)

from __future__ import annotations

import csv
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from few_heads import AFFINE, SHAPE, STUDIES, halved, head, heads, truth, write_masks
from scipy import ndimage
from sklearn.metrics import roc_auc_score

from hemobench.case import Case, Loaded
from hemobench.errors import UserError
from hemobench.evaluation.run import METRICS, PREDICTIONS, SLICES, Evaluation
from hemobench.evaluation.run import STUDIES as STUDY_TABLE
from hemobench.io.nifti import write_nifti
from hemobench.labels import CLASSES
from hemobench.predictions.folder import Predictions, open_predictions
from hemobench.predictions.measure import TAUGHT_BY, evaluate_predictions
from hemobench.volume import LABEL_MAP, Volume


def measured(folder: Path, output: Path, missing: str = "count", ids: str | None = None) -> Evaluation:
    data = heads()
    return evaluate_predictions(open_predictions(folder, data, ids=ids, missing=missing), data, output)


def means(result: Evaluation) -> dict[str, float]:
    return {name: score["mean"] for name, score in result.metrics.items()}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_masks_of_our_ids_have_the_scores_that_one_can_compute_by_hand(tmp_path: Path) -> None:
    masks = {name: halved(number) for number, name in enumerate(STUDIES)}
    masks["s0"][5, 0, 0] = 2  # one voxel of nothing
    result = measured(write_masks(tmp_path / "made", masks), tmp_path / "out")
    found = means(result)
    # s1 and s3 have 2/3, s0 an invented voxel, s2 nothing in either.
    assert found["dice_any"] == pytest.approx((2 / 3 + 2 / 3 + 0) / 3)
    assert result.metrics["dice_any"]["undefined"] == 1
    assert found["dice_filled_any"] == pytest.approx(2 / 3)
    assert found["volume_ml_pred_any"] == pytest.approx((2 + 2 + 0.02) / 4)
    assert found["dice_intraparenchymal"] == pytest.approx((2 / 3 + 0) / 2)
    assert (found["sensitivity_at_call_any"], found["specificity_at_call_any"]) == (0.5, 19 / 20)
    assert (found["sensitivity_at_call_any_study"], found["specificity_at_call_any_study"]) == (1.0, 0.5)
    # Two slices are ranked above the false alarm of 0.02 mL, two below all.
    assert found["auroc_any_study"] == 1.0
    assert not [name for name in found if name.startswith(("brier", "ece", "logloss"))]
    assert result.position["auroc_any"]["n"] == 24
    assert TAUGHT_BY in result.notes
    assert result.checkpoint["kind"] == "predictions"
    assert len(rows_of(tmp_path / "out" / PREDICTIONS)) == 4
    assert json.loads((tmp_path / "out" / METRICS).read_text())["checkpoint"]["name"] == "made"


def test_a_map_says_what_ids_are_and_untold_types_have_no_scores(tmp_path: Path) -> None:
    # BLAST-CT's: 1 intraparenchymal, 2 extra-axial, 3 oedema, 4 intraventricular.
    blast = {0: 0, 2: 1, 5: 2}
    masks = {name: np.vectorize(blast.get)(truth(number)).astype(np.uint8) for number, name in enumerate(STUDIES)}
    masks["s1"][4, 5:15, 5:15] = 3
    folder = write_masks(tmp_path / "made", masks)
    (folder / "ids.yaml").write_text("1: intraparenchymal\n2: [epidural, subdural]\n3: none\n4: intraventricular\n")
    result = measured(folder, tmp_path / "out")
    found = means(result)
    assert (found["dice_any"], found["dice_intraparenchymal"]) == (1.0, 1.0)
    assert not {"dice_subdural", "dice_epidural", "auroc_subdural", "auroc_macro"} & set(found)
    assert found["auroc_intraparenchymal"] == 1.0
    assert "probability_subdural" not in rows_of(tmp_path / "out" / SLICES)[0]
    again = measured(folder, tmp_path / "option", ids="1=intraparenchymal,2=blood,3=none,4=intraventricular")
    assert again.metrics.keys() == result.metrics.keys()
    assert means(again)["dice_any"] == 1.0


def test_masks_of_one_id_are_blood_without_a_type(tmp_path: Path) -> None:
    folder = write_masks(tmp_path, {f"p{n}_seg": (truth(n) > 0).astype(np.uint8) * 255 for n in range(4)})
    data = heads()
    opened = open_predictions(folder, data)
    assert (sorted(opened.masks), opened.types) == ([0, 1, 2, 3], ())
    result = evaluate_predictions(opened, data, tmp_path / "out")
    assert means(result)["dice_any"] == 1.0
    assert "dice_intraparenchymal" not in result.metrics
    assert any("every id above 0 is blood" in note for note in result.notes)


def test_a_mask_on_another_grid_and_orientation_is_placed_by_its_geometry(tmp_path: Path) -> None:
    for number, name in enumerate(STUDIES):
        fine = Volume(truth(number), AFFINE, LABEL_MAP)
        turned = fine.resampled((2.5, 1.0, 1.0)).cropped((0, 2, 3), (12, 38, 40)).reoriented("RAI")
        write_nifti(turned, tmp_path / "made" / name / "segmentation.nii.gz")
    assert means(measured(tmp_path / "made", tmp_path / "out"))["dice_any"] == 1.0


def test_probabilities_by_slice_have_the_scores_of_independent_code(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    given = random.random((4, 6, 2))
    lines = ["scan;slice;prob_ICH;SDH"]
    for number in range(4):
        lines += [
            f"s{number}.nii.gz;{index};{one:.6f};{two:.6f}".replace(".", ",").replace(",nii,gz", ".nii.gz")
            for index, (one, two) in enumerate(given[number])
        ]
    (tmp_path / "slices.csv").write_text("\n".join(lines))
    found = means(measured(tmp_path, tmp_path / "out"))
    targets = np.stack([(truth(number) > 0).any(axis=(1, 2)) for number in range(4)])
    subdural = np.stack([(truth(number) == 5).any(axis=(1, 2)) for number in range(4)])
    assert found["auroc_any"] == pytest.approx(roc_auc_score(targets.ravel(), given[..., 0].ravel()))
    assert found["auroc_subdural"] == pytest.approx(roc_auc_score(subdural.ravel(), given[..., 1].ravel()))
    assert found["brier_any"] == pytest.approx(np.mean((given[..., 0] - targets) ** 2), abs=1e-6)
    # The highest slice speaks for the study.
    assert found["auroc_any_study"] == pytest.approx(roc_auc_score(targets.any(axis=1), given[..., 0].max(axis=1)))
    assert "auroc_epidural" not in found


def test_probabilities_by_study_and_slices_numbered_from_one(tmp_path: Path) -> None:
    (tmp_path / "studies.csv").write_text(
        "Patient ID,EDH,IPH,IVH,SAH,SDH\np0,0,0,0,0,0.1\np1,0,0.9,0,0,0\np2,0,0.2,0,0,0\np3,0,0,0,0,0.15\n"
    )
    found = measured(tmp_path, tmp_path / "out")
    # Any is the likeliest type: bleeding 0.9 and 0.15, others 0.1 and 0.2; three of four pairs are in order.
    assert means(found)["auroc_any_study"] == 0.75
    assert means(found)["sensitivity_at_call_any_study"] == 0.5
    assert (found.slices, found.position) == (0, {})
    assert any("likeliest type stands for it" in note for note in found.notes)
    rows = [f"s{n},{index + 1},{0.1 * index:.1f}" for n in range(4) for index in range(6)]
    (tmp_path / "by_slice.csv").write_text("\n".join(["study,slice,any", *rows]))
    both = measured(tmp_path, tmp_path / "both")
    assert (both.slices, means(both)["auroc_any_study"]) == (24, 0.75)
    assert [row["probability_any"] for row in rows_of(tmp_path / "both" / PREDICTIONS)[:2]] == ["0.000000", "0.100000"]
    assert len(rows_of(tmp_path / "both" / STUDY_TABLE)) == 4


def test_what_evaluate_writes_is_read_again_with_the_same_scores(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    header = ",".join(["study", "slice", *(f"probability_{name}" for name in CLASSES)])
    rows = [f"s{n},{index}," + ",".join(f"{p:.6f}" for p in random.random(6)) for n in range(4) for index in range(6)]
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "mine.csv").write_text("\n".join([header, *rows]))
    first = measured(tmp_path / "made", tmp_path / "first")
    second = measured(tmp_path / "first", tmp_path / "second")
    assert first.metrics.keys() == second.metrics.keys()
    for name, value in means(first).items():
        assert means(second)[name] == pytest.approx(value, abs=2e-6, nan_ok=True), name


def test_missing_cases_are_counted_and_named_or_taken_for_empty(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "made", {"s0": truth(0), "s1": truth(1), "elsewhere": truth(1)})
    counted = measured(folder, tmp_path / "a")
    assert (counted.studies, len(counted.left_out)) == (2, 2)
    told = [note for note in counted.notes if note.startswith("MISSING: 2 of 4 cases have no mask")]
    assert len(told) == 1
    assert told[0].endswith("s2, s3")
    assert any("1 of the folder's answers fit no case" in note and "elsewhere" in note for note in counted.notes)
    assert means(counted)["dice_any"] == 1.0
    empty = measured(folder, tmp_path / "b", missing="empty")
    assert (empty.studies, empty.left_out) == (4, ())
    assert means(empty)["dice_any"] == 0.5  # s1 is right, s3 is missed
    assert means(empty)["sensitivity_at_call_any_study"] == 0.5


def test_a_second_call_measures_nothing_and_a_changed_file_everything(tmp_path: Path) -> None:
    folder = write_masks(tmp_path / "made", {name: truth(n) for n, name in enumerate(STUDIES)})
    first = measured(folder, tmp_path / "out")

    def never(done: int, total: int) -> None:
        raise AssertionError("nothing was to be measured")

    data = heads()
    again = evaluate_predictions(open_predictions(folder, data), data, tmp_path / "out", progress=never)
    assert again.speed == first.speed
    write_masks(folder, {"s1": halved(1)})
    assert means(measured(folder, tmp_path / "out"))["dice_any"] == pytest.approx((1 + 2 / 3) / 2)


def test_processes_say_what_one_says(tmp_path: Path) -> None:
    data = heads()
    many = tuple(Case(f"p{n}", f"s{n}", data.info.name, data.info.lineage, None, _Odd(n)) for n in range(24))
    data = replace(data, cases=many)
    folder = write_masks(tmp_path / "made", {f"s{n}": halved(n % 4) for n in range(0, 24, 2)})
    opened = open_predictions(folder, data, ids="2=intraparenchymal,5=subdural", missing="empty")
    one = evaluate_predictions(opened, data, tmp_path / "one", jobs=1)
    two = evaluate_predictions(opened, data, tmp_path / "two", jobs=2)
    assert json.dumps(one.metrics) == json.dumps(two.metrics)


class _Odd:
    def __init__(self, number: int) -> None:
        self.number = number

    def __call__(self) -> object:
        return head(self.number % 4)


def opened(folder: Path, ids: str | None = None) -> Predictions:
    return open_predictions(folder, heads(), ids=ids)


def test_bad_folders_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    twice = write_masks(tmp_path / "twice", {"s1": truth(1), "s1_pred": truth(1)})
    unknown = write_masks(tmp_path / "unknown", {"s1": truth(1), "s3": truth(3) * 2})
    other = write_masks(tmp_path / "other", {"x1": truth(1)})
    for folder, words in (
        (tmp_path / "nowhere", "no folder"),
        (tmp_path / "empty", "holds no predictions"),
        (twice, "are both answers for s1"),
        (unknown, "masks with ids 2, 10"),
        (other, r"nothing in .* fits a case of 'bhsd' \(there: x1.nii.gz; cases: s0, s1, s2 and 1 more\)"),
    ):
        with pytest.raises(UserError, match=words) as caught:
            opened(folder)
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="has id 10; expected 0 or one of 2"):
        measured(unknown, tmp_path / "out", ids="2=intraparenchymal")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study,slice,any\ns0,0,1.2", "line 2 has any '1.2'; expected a probability from 0 to 1"),
        ("study,slice,any\ns0,0,nan", "line 2 has any 'nan'"),
        ("study,any,SDH\ns0,,0.5", "line 2 has any ''"),
        ("study,slice,any\ns0,0,0.5\ns0,0,0.5", "line 3 has s0, slice 0 again"),
        ("study,any\ns0,0.5\np0,0.5", "answers again for s0"),
        ("study,slice,any\ns0,top,0.5", "has slice 'top'"),
        ("where,any\ns0,0.5", "no column that names the study"),
        ("study,any,prob_any,prob any\ns0,0.5,1,1", "no error"),
        ("study,prob_any,prob any\ns0,0.5,1", "columns prob_any and prob any; expected one of any"),
        ("ID,Label\ns0_blood,0.5", "expected <image>_<type>"),
        ("ID,Label\ns0_any,0.5\ns0_any,0.6", "line 3 has s0_any again"),
    ],
)
def test_bad_tables_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "table.csv").write_text(text)
    if words == "no error":
        assert opened(tmp_path).studies[0] == (0.5,)
        return
    with pytest.raises(UserError, match=words) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_that_lacks_a_slice_leaves_its_case_out_and_says_why(tmp_path: Path) -> None:
    rows = [f"s{n},{index},0.5" for n in range(4) for index in range(6) if (n, index) != (2, 4)]
    (tmp_path / "slices.csv").write_text("\n".join(["study,slice,any", *rows]))
    result = measured(tmp_path, tmp_path / "out")
    assert (result.studies, len(result.left_out)) == (3, 1)
    assert "1 of 6 slices have no answer (first: 4)" in result.left_out[0]


def test_rsna_rows_by_picture(tmp_path: Path) -> None:
    lines = [f"s{n}_{name},{0.9 if n % 2 else 0.2}" for n in range(4) for name in CLASSES]
    (tmp_path / "submission.csv").write_text("\n".join(["ID,Label", *lines]))
    assert means(measured(tmp_path, tmp_path / "out"))["auroc_any_study"] == 1.0


def test_masks_without_a_place_or_beside_the_scan_are_left_out_and_named(tmp_path: Path) -> None:
    import nibabel as nib

    masks = {name: (truth(n) > 0).astype(np.uint8) for n, name in enumerate(STUDIES)}
    folder = write_masks(tmp_path / "made", masks)
    zoomed = ndimage.zoom(masks["s1"], 2, order=0)
    bare = nib.Nifti1Image(zoomed, None)
    nib.save(bare, folder / "s1.nii.gz")
    away = AFFINE.copy()
    away[2, 3] += 500
    write_nifti(Volume(masks["s3"], away, LABEL_MAP), folder / "s3.nii.gz")
    result = measured(folder, tmp_path / "out")
    assert (result.studies, len(result.left_out)) == (2, 2)
    assert "does not say where it lies (neither sform nor qform)" in result.left_out[0]
    assert "lies beside its scan" in result.left_out[1]


def test_what_predict_wrote_scan_by_scan_is_read_too(tmp_path: Path) -> None:
    for number in (0, 1, 3):
        write_masks(tmp_path / "made" / f"s{number}", {"mask": truth(number)})
    rows = [f"scans/s{number}.nii.gz,s{number},done,{0.9 if number % 2 else 0.2}" for number in (0, 1, 3)]
    (tmp_path / "made" / "summary.csv").write_text(
        "\n".join(["scan,folder,status,probability_any", *rows, "scans/s2.nii.gz,,refused,"])
    )
    result = measured(tmp_path / "made", tmp_path / "out")
    assert means(result)["dice_any"] == 1.0
    assert (means(result)["auroc_any_study"], result.metrics["auroc_any_study"]["n"]) == (1.0, 3)
    assert sum(note.startswith("MISSING: 1 of 4 cases have no") and note.endswith("s2") for note in result.notes) == 2


def test_ventricles_of_mr_and_pictures_of_one_slice(tmp_path: Path) -> None:
    brain = Volume(np.ones(SHAPE, dtype=np.float32), AFFINE, "MR")
    data = heads()
    mr = replace(
        data,
        cases=tuple(
            replace(case, load=partial(Loaded, brain, (truth(1) > 0).astype(np.uint8), None)) for case in data.cases
        ),
    )
    folder = write_masks(tmp_path / "mr", {name: (truth(1) > 0).astype(np.uint8) for name in STUDIES})
    found = means(evaluate_predictions(open_predictions(folder, mr), mr, tmp_path / "a"))
    assert found["dice_ventricles"] == 1.0
    assert not [name for name in found if name.endswith("_any") or name.startswith("auroc")]

    single = [Volume(np.ones((1, 8, 8), dtype=np.float32), AFFINE, "grey"), np.eye(5, dtype=np.uint8)[1:2]]
    pictures = replace(
        data,
        cases=tuple(
            replace(case, patient_id=f"p{number // 2}", load=partial(Loaded, single[0], None, single[1] * (number % 2)))
            for number, case in enumerate(data.cases)
        ),
    )
    (tmp_path / "csv").mkdir()
    (tmp_path / "csv" / "answers.csv").write_text("image,ICH\ns0.png,0.3\ns1.png,0.2\ns2.png,0.1\ns3.png,0.9\n")
    result = evaluate_predictions(open_predictions(tmp_path / "csv", pictures), pictures, tmp_path / "b")
    assert (result.slices, means(result)["auroc_any"]) == (4, 0.75)
    assert result.metrics["auroc_any_patient"]["n"] == 2
    assert "auroc_any_study" not in result.metrics

"""DICOM SEG, and RSNA's slices by their own names, on real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicom_files import SeriesPlan, head_hu, write_series

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import BHSD
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.phantom import PhantomSpec
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.build import build_layout
from hemobench.errors import UserError
from hemobench.io import Scan, read_scan
from hemobench.io.dicom_seg import write_dicom_seg
from hemobench.io.masks import mask_in_slices
from hemobench.labels import SUBTYPES
from hemobench.predictions.dicom_seg import read_dicom_seg
from hemobench.predictions.folder import open_predictions
from hemobench.predictions.ids import read_ids
from hemobench.predictions.masks import read_mask
from hemobench.predictions.measure import evaluate_predictions
from hemobench.volume import LABEL_MAP, Volume


def bright(scan: Scan) -> Volume:
    """Labels 1 to 5 by height where the scan is bright; the lowest and a middle slice have none."""
    place = np.arange(scan.volume.shape[0])[:, None, None] % 5 + 1
    labels = np.where(scan.volume.voxels > 300, place, 0).astype(np.uint8)
    labels[[0, 3]] = 0
    return scan.volume.with_voxels(labels, LABEL_MAP)


@pytest.mark.parametrize("tilt", [0.0, 15.0])
def test_a_seg_of_ours_lies_where_it_was_drawn(tmp_path: Path, tilt: float) -> None:
    write_series(tmp_path / "in", head_hu(6), SeriesPlan(tilt_degrees=tilt))
    scan = read_scan(tmp_path / "in")
    mask = bright(scan)
    write_dicom_seg(mask, scan, tmp_path / "s1.dcm")
    found = read_dicom_seg(tmp_path / "s1.dcm", None)
    # On the slices as they were acquired, exactly; the scan's own grid is another one where the gantry was tilted.
    for drawn, one in zip(mask_in_slices(mask, scan.source), scan.source.slices, strict=True):
        np.testing.assert_array_equal(found.resampled_to(one.affine, (1, *one.shape)).voxels[0], drawn)
    if not tilt:
        np.testing.assert_array_equal(read_mask(tmp_path / "s1.dcm", None, scan.volume), mask.voxels)


def test_a_seg_is_measured_and_found_by_its_header(tmp_path: Path) -> None:
    plan = SeriesPlan()
    write_series(tmp_path / "in", head_hu(6), plan)
    scan = read_scan(tmp_path / "in")
    mask = bright(scan)
    truth = Loaded(scan.volume, np.asarray(mask.voxels), None)
    data = Dataset(BHSD, (Case("p", plan.study_uid, BHSD.name, BHSD.lineage, None, lambda: truth),), "one", ())
    (tmp_path / "made").mkdir()
    write_dicom_seg(mask, scan, tmp_path / "made" / "0001.dcm")
    opened = open_predictions(tmp_path / "made", data)
    assert opened.types == SUBTYPES
    result = evaluate_predictions(opened, data, tmp_path / "out")
    assert result.metrics["dice_any"]["mean"] == 1.0
    assert result.metrics["dice_subdural"]["mean"] == 1.0


def test_segments_that_say_nothing_of_blood_need_a_map(tmp_path: Path) -> None:
    import pydicom

    write_series(tmp_path / "in", head_hu(6), SeriesPlan())
    scan = read_scan(tmp_path / "in")
    write_dicom_seg(bright(scan), scan, tmp_path / "seg.dcm")
    other = pydicom.dcmread(tmp_path / "seg.dcm")
    for segment in other.SegmentSequence:
        segment.SegmentLabel = f"class {segment.SegmentNumber}"
        segment.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Abnormality"
    other.save_as(tmp_path / "other.dcm")
    with pytest.raises(UserError, match="segment 1 whose words name no haemorrhage"):
        read_dicom_seg(tmp_path / "other.dcm", None)
    ids = read_ids("1=none,2=subdural,3=none,4=blood,5=none", tmp_path)
    assert set(np.unique(read_dicom_seg(tmp_path / "other.dcm", ids).voxels)) <= {0, 5, 6}
    first = tmp_path / "in" / scan.source.slices[0].file
    with pytest.raises(UserError, match="no segmentation"):
        read_dicom_seg(first, None)


def test_rsna_slices_are_found_by_their_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEMOBENCH_HOME", str(tmp_path / "home"))
    spec = PhantomSpec(patients=3, slices=5, matrix=48, seed=3, healthy=0.0)
    build_layout(tmp_path / "rsna", get_layout("rsna"), spec, jobs=1)
    data = open_dataset(f"rsna:{tmp_path / 'rsna'}", jobs=1)
    (tmp_path / "made").mkdir()
    # The labels as answers: whatever the order of the slices, each must meet its own.
    (tmp_path / "made" / "submission.csv").write_bytes((tmp_path / "rsna" / "stage_2_train.csv").read_bytes())
    result = evaluate_predictions(open_predictions(tmp_path / "made", data), data, tmp_path / "out")
    assert result.slices == 15
    assert result.left_out == ()
    assert result.metrics["brier_any"]["mean"] < 1e-9
    assert result.metrics["logloss_rsna"]["mean"] < 1e-5

"""The shipped networks together answer the same of the same scan, however it is sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from steady_scans import agreement, variants

from hemobench.datasets.phantom import PhantomSpec, generate_patient
from hemobench.inference.report import StudyReport
from hemobench.inference.shipped import shipped_folder
from hemobench.inference.study import analyse
from hemobench.io import read_scan
from hemobench.volume import Volume

SHARED = Path(__file__).resolve().parents[2].parent / "shared" / "data"
GE_HEAD_CT = SHARED / "ge-head-ct"
SPEC = PhantomSpec(patients=8, slices=28, matrix=512, healthy=0.0, thickness_mm=5.0, least_size=0.5, seed=11)
LEAST_ML, LEAST_DICE = 0.5, 0.9
NETWORKS = [shipped_folder() / "slice-classifier", shipped_folder() / "bleed"]


def _check(volume: Volume, folder: Path) -> StudyReport:
    plain = analyse(volume, NETWORKS)
    assert plain.label_map is not None
    assert plain.volume_ml is not None
    for name, scan in variants(volume, folder).items():
        report = analyse(scan, NETWORKS)
        assert report.study.calls["any"].positive == plain.study.calls["any"].positive, name
        assert report.label_map is not None
        if plain.volume_ml["total"] > LEAST_ML:
            assert agreement(plain.label_map, report.label_map) > LEAST_DICE, name
    return plain


@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_phantom(index: int, tmp_path: Path) -> None:
    report = _check(generate_patient(SPEC, index).image, tmp_path)
    assert report.lesions


@pytest.mark.skipif(not GE_HEAD_CT.is_dir(), reason="the GE head CT is not here")
def test_a_tilted_series_of_a_healthy_head(tmp_path: Path) -> None:
    scan = read_scan(GE_HEAD_CT)
    report = _check(scan.volume, tmp_path)
    assert not report.study.calls["any"].positive
    assert np.isfinite(list(report.study.probabilities.values())).all()

"""Pictures that stand under two patients, copied as people copy them, among heads that only resemble each other."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from hemobench.case import Case, Dataset, Loaded
from hemobench.datasets.catalogue import CT_ICH, VENTRICLES
from hemobench.datasets.check import Report, check_dataset
from hemobench.datasets.image_folder import open_image_folder
from hemobench.volume import Volume

SIZE = 128


def head(person: int, height: float = 0.0) -> np.ndarray:
    """Grey levels of a slice through somebody's head: a skull, ventricles and folds of their own."""
    random = np.random.default_rng(person)
    down, across = np.mgrid[-1 : 1 : SIZE * 1j, -1 : 1 : SIZE * 1j]
    tall, wide = random.uniform(0.75, 0.9), random.uniform(0.6, 0.72)
    radius = np.hypot(down / tall, across / wide) / (1 - height)
    folds = ndimage.gaussian_filter(random.standard_normal((SIZE, SIZE)), 6)
    grey = np.where(radius < 1, np.where(radius > 0.88, 255, 110 + 400 * folds), 0)
    grey[np.hypot(down / 0.3, (np.abs(across) - 0.1) / 0.08) < 1 - height] = 40
    return np.clip(grey, 0, 255).astype(np.uint8)


def copied(levels: np.ndarray, how: str) -> Image.Image:
    picture = Image.fromarray(levels)
    if how == "jpeg":
        stream = BytesIO()
        picture.save(stream, "JPEG", quality=50)
        return Image.open(stream)
    if how == "smaller":
        return picture.resize((90, 90), Image.Resampling.BICUBIC)
    if how == "duller":
        return Image.fromarray((levels * 0.8 + 10).astype(np.uint8))
    return picture


def folder(root: Path, copy: str | None, label: int = 1, people: int = 6) -> Report:
    """A slice each of some people; one of them again under another patient's name, labelled `label` (the first: 1)."""
    for person in range(people):
        Image.fromarray(head(person)).save(root / f"{person}.png")
    rows = [f"{person},p{person},{int(person == 0)}" for person in range(people)]
    if copy is not None:
        copied(head(0), copy).save(root / "copy.png")
        rows.append(f"copy,p1,{label}")
    (root / "labels.csv").write_text("\n".join(["image,patient,any", *rows]))
    return check_dataset(open_image_folder(root))


def test_heads_of_different_people_are_not_alike(tmp_path: Path) -> None:
    report = folder(tmp_path, None, people=30)
    assert report.twins == report.contradictions == ()


@pytest.mark.parametrize("how", ["jpeg", "smaller", "duller"])
def test_a_copy_that_was_saved_again_is_found(tmp_path: Path, how: str) -> None:
    (line,) = folder(tmp_path, how).twins
    assert line == "1 look the same under two patients (saved again, or at another size): 0.png and copy.png"


@pytest.mark.parametrize("label", [0, 1])
def test_identical_pictures_and_their_labels(tmp_path: Path, label: int) -> None:
    report = folder(tmp_path, "identical", label)
    assert report.twins == ("1 have the same voxels under two patients: 0.png and copy.png",)
    expected = ("1 are there twice, with different labels: 0.png and copy.png",)
    assert report.contradictions == (() if label else expected)


def test_noise_is_told_by_its_voxels_alone(tmp_path: Path) -> None:
    for number, seed in enumerate((0, 1, 2, 0)):
        noise = np.random.default_rng(seed).integers(0, 255, (512, 512), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{number}.png")
    (tmp_path / "labels.csv").write_text("image;patient;any\n" + "".join(f"{n};p{n};0\n" for n in range(4)))
    report = check_dataset(open_image_folder(tmp_path))
    assert report.twins == ("1 have the same voxels under two patients: 0.png and 3.png",)


def test_without_patients_only_true_copies_count(tmp_path: Path) -> None:
    for number in range(8):
        # Neighbours of one head, 1 mm apart: alike, and no copies.
        Image.fromarray(head(0, number / 90)).save(tmp_path / f"{number}.png")
    copied(head(0), "jpeg").save(tmp_path / "copy.png")
    (tmp_path / "labels.csv").write_text("id,any\ncopy,0\n" + "".join(f"{number},0\n" for number in range(8)))
    (line,) = check_dataset(open_image_folder(tmp_path)).twins
    assert line == "1 look the same under two names (saved again, or at another size): 0.png and copy.png"


def scan(*slices: np.ndarray) -> Volume:
    return Volume(np.stack(slices).astype(np.float32) / 255 * 80, np.eye(4))


def study(patient: str, image: Volume, labels: list[list[int]] | None = None, **known: object) -> Case:
    slice_labels = None if labels is None else np.array(labels, dtype=np.uint8)
    study_labels = known.pop("study", None)
    loaded = Loaded(image, known.pop("label_map", None), slice_labels, **known)  # type: ignore[arg-type]
    return Case(patient, f"{patient}-1", "made", "made", study_labels, lambda: loaded)  # type: ignore[arg-type]


def report_of(*cases: Case) -> Report:
    return check_dataset(Dataset(CT_ICH, cases, "f", ()))


def test_scans_are_named_once_and_neighbours_and_air_not_at_all() -> None:
    air = np.zeros((SIZE, SIZE), dtype=np.uint8)
    top = air.copy()
    top[60:66, 60:66] = 255
    thin = [head(3, number / 200) for number in range(10)]
    slices = [head(person) for person in (1, 2, 4, 5)]
    report = report_of(
        study("a", scan(air, top, *slices)),
        study("b", scan(*slices[:2], air, top)),
        study("c", scan(*thin, top)),
        study("c", scan(*thin)),
    )
    # Two slices of a and b; c has its own slices twice, which is no other patient.
    assert report.twins == ("2 have the same voxels under two patients: a-1 and b-1 (2 slices)",)


def test_contradictions_between_masks_slices_and_studies() -> None:
    none, subdural, epidural = [0, 0, 0, 0, 0], [0, 0, 0, 0, 1], [1, 0, 0, 0, 0]
    image = scan(head(1), head(2), head(4))
    marked = np.zeros(image.shape, dtype=np.uint8)
    marked[0, 5:9, 5:9], marked[2, 5:9, 5:9] = 5, 5  # 16 mm2
    marked[1, 5, 5:16] = 2  # 11 mm2, which nobody need have seen
    report = report_of(
        study("right", image, [subdural, none, subdural], label_map=marked, study=(0, 0, 0, 0, 1)),
        study("mask", scan(head(6), head(7), head(8)), [none, subdural, epidural], label_map=marked * (marked == 5)),
        study("study", scan(head(9)), [epidural], study=(0, 0, 0, 0, 1)),
        study("blood", scan(head(10)), blood_mask=np.ones((1, SIZE, SIZE), dtype=bool), study=(0, 0, 0, 0, 0)),
    )
    assert set(report.contradictions) == {
        "1 slice with blood in the mask and none in the labels: mask-1 slice 0",
        "1 slice with blood in the labels and none in the mask: mask-1 slice 1",
        "1 slice with other types in the mask than in the labels: mask-1 slice 2",
        "1 study with a type in a slice that the study's labels lack: study-1",
        "1 study with a type in the study's labels that no slice shows: study-1",
        "1 study with blood in the mask and none in the labels: blood-1",
    }


def test_many_contradictions_are_one_line_and_ventricles_are_no_blood() -> None:
    marked = np.ones((1, SIZE, SIZE), dtype=np.uint8)
    cases = [study(f"p{n}", scan(head(n)), [[0, 0, 0, 0, 0]], label_map=marked) for n in range(9)]
    assert report_of(*cases).contradictions == (
        "9 slices with blood in the mask and none in the labels: p0-1, p1-1, p2-1 and 6 more",
    )
    assert check_dataset(Dataset(VENTRICLES, tuple(cases), "f", ())).contradictions == ()

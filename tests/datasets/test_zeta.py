"""Zeta's data set on whole rehearsal copies and on small ones with one quirk each."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hemobench.datasets.check import check_dataset
from hemobench.datasets.opening import open_dataset
from hemobench.datasets.rehearsal import get_layout
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient
from hemobench.datasets.rehearsal.zeta import LACKING, official_slices
from hemobench.datasets.splits import split_by_patient
from hemobench.datasets.zeta.dataset import open_zeta
from hemobench.errors import UserError
from hemobench.io.bone_map import bone_map
from hemobench.labels import PAPER_CLASSES, to_paper_class

from .smooth_studies import smooth_studies

COUNT = 5
WINDOWS = ("brain_window", "subdural_window", "brain_bone_window", "max_contrast_window")
HEADER = "Image,any,epidural,intraparenchymal,intraventricular,subarachnoid,subdural\n"


@pytest.fixture(scope="module")
def copies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    roots = {quirks: tmp_path_factory.mktemp(quirks) for quirks in ("clean", "real")}
    for quirks, root in roots.items():
        get_layout("zeta").write(root, smooth_studies(COUNT), 4, quirks)
    return roots


def write_copy(root: Path, rows: str = "ID_a,1,1,0,0,0,0\nID_b,0,0,0,0,0,0\n", size: int = 16) -> Path:
    """Two pictures of flat grey: a head that bleeds and one that does not."""
    for folder, name, level in (("epidural", "ID_a", 100), ("normal", "ID_b", 60)):
        for window in WINDOWS:
            place = root / "renders" / folder / window
            place.mkdir(parents=True)
            Image.fromarray(bone_map()[np.full((size, size), level)]).save(place / f"{name}.jpg", quality=95)
    (root / "hemorrhage-labels.csv").write_text(HEADER + rows)
    (root / "patients.csv").write_text("Image,PatientID\nID_a,P1\nID_b,P1\n")
    return root


def test_what_went_into_the_layout_comes_out(copies: dict[str, Path]) -> None:
    dataset = open_dataset(f"zeta:{copies['clean']}")
    assert dataset.warnings == ()
    assert not dataset.leaky
    cases = {case.study_id: case for case in dataset.cases}
    assert len(cases) == 5 * COUNT
    for patient_id, study in smooth_studies(COUNT):
        hu, ids = official_slices(study)
        assert study.slice_labels is not None
        for name, plane, mask, types in zip(rsna_images(patient_id, 5), hu, ids, study.slice_labels, strict=True):
            case = cases[name]
            assert (case.patient_id, case.study_labels) == (rsna_patient(patient_id), tuple(types.tolist()))
            loaded = case.load()
            np.testing.assert_array_equal(loaded.slice_labels, [types])
            # Outlines follow the pixels' edges, so that masks are the same to the pixel.
            assert loaded.label_map is not None
            np.testing.assert_array_equal(loaded.label_map[0], mask)
            read = loaded.image.voxels[0]
            brain = (plane > 25) & (plane < 75)
            assert np.abs(read - plane)[brain].mean() < 1
            assert np.quantile(np.abs(read - plane)[brain], 0.99) < 4
            assert np.abs(read - plane)[plane == 900].mean() < 15
            assert np.quantile(read[plane == -1000], 0.9) == -1000


def test_check_of_the_clean_copy_finds_nothing(copies: dict[str, Path]) -> None:
    report = check_dataset(open_dataset(f"zeta:{copies['clean']}"))
    assert (report.cases, report.patients, report.label_maps) == (25, COUNT, 25)
    assert report.warnings == report.remarks == report.unreadable == ()
    assert report.slices_with is not None
    assert report.slices_with["any"] == 3 * COUNT


def test_the_real_copy_leaks_and_lacks_windows(copies: dict[str, Path]) -> None:
    dataset = open_dataset(f"zeta:{copies['real']}")
    assert dataset.leaky
    assert "a split by picture leaks" in dataset.warnings[0]
    assert dataset.warnings[1] == f"{LACKING} pictures lack a window"
    named = dataset.warnings[2:]
    assert len(named) == LACKING
    assert all("no subdural_window; picture left out" in line for line in named)
    assert len(dataset.cases) == 25 - LACKING
    assert all(case.patient_id == case.study_id for case in dataset.cases)
    # Aliases of the folders were understood: the multiple ones are there.
    assert any(sum(case.study_labels or ()) == 2 for case in dataset.cases)
    assert any("bone_window: read as brain_window" in line for line in dataset.notes)
    assert any("the same bytes" in line for line in dataset.notes)
    assert check_dataset(dataset).unreadable == ()


def test_patients_of_one_lineage_are_split_whole(copies: dict[str, Path]) -> None:
    dataset = open_dataset(f"zeta:{copies['clean']}")
    split = split_by_patient(dataset.cases, fractions=(0.6, 0.2, 0.2), seed=1)
    assert len(split.train) + len(split.validation) + len(split.test) == COUNT
    assert {case.lineage for case in dataset.cases} == {"rsna"}


def test_cases_can_be_sent_to_another_process(copies: dict[str, Path]) -> None:
    case = open_dataset(f"zeta:{copies['clean']}").cases[3]
    loaded = pickle.loads(pickle.dumps(case)).load()
    np.testing.assert_array_equal(loaded.image.voxels, case.load().image.voxels)


def test_the_papers_protocol(copies: dict[str, Path]) -> None:
    dataset = open_dataset(f"zeta:{copies['clean']}", protocol="paper", images_per_class=2)
    assert dataset.info.phantom is False  # written without the mark that `data build` leaves
    classes = [int(to_paper_class(np.array(case.study_labels))) for case in dataset.cases]
    counts = {name: classes.count(index) for index, name in enumerate(PAPER_CLASSES)}
    # Ten slices of one type, two of each, and five of two types.
    assert counts == dict.fromkeys(PAPER_CLASSES, 2)
    case = dataset.cases[0]
    loaded = case.load()
    assert (loaded.image.shape, loaded.image.modality) == ((1, 128, 128), "grey")
    (path,) = (copies["clean"] / "renders").glob(f"*/max_contrast_window/{case.study_id}.jpg")
    rgb = np.asarray(Image.open(path), dtype=np.float64)
    expected = rgb.sum(axis=-1)[0:512:4, 0:512:4] / 3 / 255
    np.testing.assert_allclose(loaded.image.voxels[0], expected, atol=1e-6)
    full = open_dataset(f"zeta:{copies['clean']}", protocol="max-contrast")
    mask = next(other for other in full.cases if other.study_id == case.study_id).load().label_map
    assert loaded.label_map is not None
    assert mask is not None
    np.testing.assert_array_equal(loaded.label_map[0], mask[0, ::4, ::4])


def test_the_papers_draw_depends_on_its_seed_alone(copies: dict[str, Path]) -> None:
    def draw(**options: int) -> list[str]:
        dataset = open_dataset(f"zeta:{copies['clean']}", protocol="paper", **options)
        return [case.study_id for case in dataset.cases]

    one = draw(images_per_class=1, seed=1)
    assert one == draw(images_per_class=1, seed=1)
    assert len({tuple(draw(images_per_class=1, seed=seed)) for seed in range(6)}) > 1
    with pytest.raises(UserError, match="images_per_class is 0"):
        draw(images_per_class=0)
    short = open_dataset(f"zeta:{copies['clean']}", protocol="paper")
    assert len(short.cases) == 15
    assert "multiple: 5 pictures for 1000 a class; all are taken" in short.warnings


def test_both_greys_of_the_contrast_pictures(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    levels = {
        gray: open_zeta(root, protocol="max-contrast", gray=gray).cases[0].load().image.voxels
        for gray in ("invert-bone", "mean")
    }
    # A flat picture survives JPEG nearly whole: level 100 is (87, 90, 118) in the map.
    assert np.abs(levels["invert-bone"] * 255 - 100).max() <= 1
    assert np.abs(levels["mean"] * 255 - bone_map()[100].mean()).max() <= 1.5


def test_copies_without_colours_are_used_as_they_are(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    for path in root.glob("renders/*/*/*.jpg"):
        Image.fromarray(np.full((16, 16), 77, dtype=np.uint8)).save(path, quality=95)
    dataset = open_zeta(root, protocol="max-contrast")
    assert any("no colours" in line for line in dataset.notes)
    assert np.abs(dataset.cases[0].load().image.voxels * 255 - 77).max() <= 1


def test_tables_and_folders_that_disagree_are_named(tmp_path: Path) -> None:
    root = write_copy(tmp_path, "ID_a,1,0,1,0,0,0\nID_b,1,0,0,0,0,0\nID_b,0,0,0,0,0,0\nID_elsewhere,1,1,0,0,0,0\n")
    dataset = open_zeta(root)
    assert dataset.cases[0].study_labels == (0, 1, 0, 0, 0)
    assert dataset.warnings == (
        "hemorrhage-labels.csv line 3: any is 1 against ID_b's types; the types are used",
        "hemorrhage-labels.csv line 4: ID_b is listed twice; a type counts when either line has it",
        "renders/epidural/*/ID_a.jpg: intraparenchymal in hemorrhage-labels.csv; the table is used",
    )
    assert dataset.notes == ("hemorrhage-labels.csv: 2 rows of pictures that are not in this copy",)
    with pytest.raises(UserError, match="no picture that 'paper' can use"):
        open_zeta(root, protocol="paper")


def test_defects_on_disk_are_named(tmp_path: Path) -> None:
    root = write_copy(tmp_path, "ID_a,1,1,0,0,0,0\nID_b,0,0,0,0,0,0\nID_c,0,0,0,0,0,0\n")
    renders = root / "renders"
    for window in WINDOWS:
        for source, target in (("epidural/{}/ID_a", "normal/{}/ID_new"), ("epidural/{}/ID_a", "normal/{}/ID_c")):
            shutil.copy(renders / f"{source.format(window)}.jpg", renders / f"{target.format(window)}.jpg")
    shutil.copy(renders / "epidural/brain_window/ID_a.jpg", renders / "normal/brain_window/ID_a.jpg")
    (renders / "normal/max_contrast_window/ID_b.jpg").unlink()
    (renders / "normal/brain_window/ID_c.jpg").unlink()
    (renders / "normal/brain_window/notes.txt").write_text("x")
    (renders / "normal/other_window").mkdir()
    (renders / "thumbnails").mkdir()
    (root / "patients.csv").write_text("Image,PatientID\nID_b.jpg,P1\n")
    dataset = open_zeta(root)
    assert [case.study_id for case in dataset.cases] == ["ID_b"]
    assert sorted(dataset.warnings) == sorted(
        (
            "renders/thumbnails: no class of this name; folder left out",
            "renders/normal/other_window: no window of this name; folder left out",
            "renders/normal/brain_window/notes.txt: no JPEG or PNG; left out",
            "renders/normal/brain_window/ID_a.jpg: also in epidural; left out here",
            "renders/normal/*/ID_new.jpg: not in hemorrhage-labels.csv; picture left out",
            "2 pictures lack a window",
            "renders/normal/*/ID_b.jpg: no max_contrast_window; not needed here",
            "renders/normal/*/ID_c.jpg: no brain_window; picture left out",
            "ID_a: not in patients.csv; picture left out",
        )
    )


def test_a_copy_without_a_whole_window_says_what_is_lost(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    for folder in ("epidural", "normal"):
        shutil.rmtree(root / "renders" / folder / "brain_bone_window")
    dataset = open_zeta(root)
    assert len(dataset.cases) == 2
    (warning,) = dataset.warnings
    assert "brain_bone_window: no such folder" in warning
    for folder in ("epidural", "normal"):
        for window in ("brain_window", "subdural_window"):
            shutil.rmtree(root / "renders" / folder / window)
    with pytest.raises(UserError, match="take protocol 'max-contrast'"):
        open_zeta(root)
    assert len(open_zeta(root, protocol="max-contrast").cases) == 2


def test_both_names_of_a_window_and_folders_of_multiple_types(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    for folder in ("epidural", "normal"):
        (root / "renders" / folder / "brain_bone_window").rename(root / "renders" / folder / "bone_window")
    dataset = open_zeta(root)
    assert dataset.warnings == ()
    # brain_window is there, so the other name can only mean the bone's.
    assert dataset.notes == tuple(
        f"renders/{name}/bone_window: read as brain_bone_window" for name in ("epidural", "normal")
    )


def test_outlines_without_type_are_blood_alone(tmp_path: Path) -> None:
    root = write_copy(tmp_path, "ID_a,1,1,0,0,0,1\nID_b,0,0,0,0,0,0\n")
    (root / "renders" / "epidural").rename(root / "renders" / "multiple_hemorrhage")
    polygon = '"[{""x"": 0, ""y"": 0}, {""x"": 0.5, ""y"": 0}, {""x"": 0.5, ""y"": 1}, {""x"": 0, ""y"": 1}]"'
    table = root / "Results_Multiple Hemorrhage Detection.csv"
    header = "Origin,Labeling State,Majority Label,Correct Label,All Labels"
    table.write_text(f"{header}\nID_a.jpg,Labeled,{polygon},,\n")
    bleeding, normal = (case.load() for case in open_zeta(root).cases)
    assert bleeding.label_map is None
    np.testing.assert_array_equal(bleeding.blood_mask, np.tile(np.arange(16) < 8, (1, 16, 1)))
    # Where outlines exist, a picture without blood has an empty map.
    assert normal.label_map is not None
    assert not normal.label_map.any()
    # The same outline in a picture of one type has that type; in one of two, half an answer is none.
    (root / "hemorrhage-labels.csv").write_text(HEADER + "ID_a,1,0,0,0,0,1\nID_b,0,0,0,0,0,0\n")
    only = open_zeta(root).cases[0].load().label_map
    assert only is not None
    assert set(np.unique(only)) == {0, 5}
    table.rename(root / "Results_Subdural Hemorrhage Detection.csv")
    (root / "hemorrhage-labels.csv").write_text(HEADER + "ID_a,1,1,0,0,0,1\nID_b,0,0,0,0,0,0\n")
    half = open_zeta(root).cases[0].load()
    assert half.label_map is half.blood_mask is None


def test_without_location_files_there_are_no_masks(tmp_path: Path) -> None:
    assert [case.load().label_map for case in open_zeta(write_copy(tmp_path)).cases] == [None, None]


def test_damaged_pictures_are_named_when_loaded(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    damaged = root / "renders" / "epidural" / "subdural_window" / "ID_a.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    small = root / "renders" / "normal" / "brain_window" / "ID_b.jpg"
    Image.new("RGB", (8, 8)).save(small)
    bleeding, normal = open_zeta(root).cases
    with pytest.raises(UserError, match=r"subdural_window/ID_a\.jpg is damaged"):
        bleeding.load()
    with pytest.raises(UserError, match="expected one for all windows"):
        normal.load()
    Image.new("L", (5000, 10)).save(small)
    with pytest.raises(UserError, match="5000 x 10"):
        normal.load()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("hemorrhage-labels.csv", b"Image,epidural\n", "no column intraparenchymal, .*, any "),
        ("hemorrhage-labels.csv", HEADER.encode() + b"ID_a,1,x,0,0,0,0\n", "line 2 has label 'x'"),
        ("hemorrhage-labels.csv", HEADER.encode() + b"ID_a,1,1\n", "line 2 has 3 fields"),
        ("hemorrhage-labels.csv", HEADER.encode("utf-16"), "no text in UTF-8"),
        ("patients.csv", b"Image,PatientID\nID_a,P1\nID_a,P2\n", "line 3 gives ID_a a second patient"),
        ("patients.csv", b"Image,PatientID\nID_a,\n", "line 2 has no PatientID"),
        ("flagged.txt", b"\xff\xfe", "no text in UTF-8"),
    ],
)
def test_broken_tables_give_one_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    root = write_copy(tmp_path)
    (root / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        open_zeta(root)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_folders_that_are_no_copy_and_unknown_options(tmp_path: Path) -> None:
    for path, message in ((None, "without a path"), (tmp_path / "none", "no folder"), (tmp_path, "no renders/")):
        with pytest.raises(UserError, match=message):
            open_zeta(path)
    root = write_copy(tmp_path / "copy")
    for options, message in (
        ({"protocol": "papr"}, "did you mean 'paper'"),
        ({"gray": "men"}, "did you mean 'mean'"),
        ({"gray": "mean"}, "gray 'mean' with protocol 'hounsfield'"),
        ({"outlines": "bset"}, "did you mean 'best'"),
    ):
        with pytest.raises(UserError, match=message):
            open_zeta(root, **options)


def test_fingerprint_follows_tables_files_and_options(tmp_path: Path) -> None:
    root = write_copy(tmp_path)
    prints = [open_zeta(root).fingerprint, open_zeta(root, protocol="max-contrast").fingerprint]
    assert open_zeta(root).fingerprint == prints[0]
    (root / "patients.csv").write_text("Image,PatientID\nID_a,P1\nID_b,P2\n")
    prints.append(open_zeta(root).fingerprint)
    (root / "renders" / "normal" / "max_contrast_window" / "ID_b.jpg").unlink()
    prints.append(open_zeta(root).fingerprint)
    assert len(set(prints)) == 4

"""The overview page: what is on it is looked for in its pixels and in what its parts say."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from hemobench.errors import UserError
from hemobench.inference.overview import PAGE_WIDTH, draw_overview, write_overview
from hemobench.inference.overview.canvas import Canvas, shortened, text_width, wrapped
from hemobench.inference.overview.page import _largest_slices
from hemobench.inference.overview.panel import doubt_of, verdict
from hemobench.inference.overview.slices import SlicePictures, even_slices, head_alone, pictures_of
from hemobench.inference.overview.style import CALLED, CAUTION, TYPE_COLOURS, VENTRICLE_COLOUR
from hemobench.inference.report import (
    Call,
    Lesion,
    ModelUsed,
    SliceFinding,
    Source,
    StudyFinding,
    StudyReport,
    Ventricles,
    Worth,
)
from hemobench.io.remarks import note, part
from hemobench.io.scan import GridSource, Scan, Space
from hemobench.labels import CLASSES, LABEL_IDS, SUBTYPES
from hemobench.volume import LABEL_MAP, Volume, display_affine


def a_head(depth: int = 20, size: int = 128, modality: str = "CT") -> Volume:
    """A grey ball of tissue in a bright shell, air around it."""
    spacing = (5.0, 1.5, 1.5)
    z, y, x = np.ogrid[:depth, :size, :size]
    middle = (size - 1) / 2
    radius = np.sqrt(((z - (depth - 1) / 2) * 2) ** 2 + (y - middle) ** 2 + (x - middle) ** 2)
    voxels = np.where(radius < 44, 35.0, np.where(radius < 50, 900.0, -1000.0))
    if modality == "MR":
        voxels = np.clip(voxels, 0, 300)
    return Volume(voxels, display_affine((depth, size, size), spacing), modality)


def a_report(
    volume: Volume | None = None,
    boxes: dict[tuple[int, int, int], tuple[str, int]] | None = None,
    *,
    probability: float = 0.9,
    spacing_known: bool = True,
    warnings: tuple[str, ...] = (),
) -> StudyReport:
    """A report over a head with boxes of blood: corner -> (type, side in voxels), numbered in their order."""
    volume = a_head() if volume is None else volume
    labels = np.zeros(volume.shape, dtype=np.uint8)
    lesions = []
    for number, ((z, y, x), (name, side)) in enumerate((boxes or {}).items(), start=1):
        deep = min(2, volume.shape[0] - z)
        labels[z : z + deep, y : y + side, x : x + side] = LABEL_IDS[name]
        voxels = deep * side * side
        centre = (z + (deep - 1) / 2, y + (side - 1) / 2, x + (side - 1) / 2)
        volume_ml = voxels * volume.voxel_volume_ml if spacing_known else None
        lesions.append(Lesion(number, name, volume_ml, volume_ml, None, centre, z, z + deep - 1, voxels, 0.8))
    probabilities = dict.fromkeys(CLASSES, 0.1) | {"any": probability}
    totals = {name: sum(one.volume_ml or 0 for one in lesions if one.subtype == name) for name in SUBTYPES}
    scan = Scan(volume, "nifti", (), GridSource(Path("scan.nii"), Space(volume.affine, volume.shape)), spacing_known)
    return StudyReport(
        source=Source("nifti", 1, "CT", volume.shape, volume.spacing_mm if spacing_known else None, warnings),
        model=(ModelUsed("haemorrhage", "bleed", None, "ab" * 32, "torch fp32"),),
        study=StudyFinding(probabilities, {name: Call(probabilities[name] >= 0.5, 0.5) for name in CLASSES}),
        slices=tuple(SliceFinding(index, 0.0, probabilities) for index in range(volume.shape[0])),
        lesions=tuple(lesions),
        volume_ml={"total": sum(totals.values()), **totals} if spacing_known else None,
        ventricles=None,
        timing_s={"total": 1.0},
        scan=scan,
        label_map=volume.with_voxels(labels, LABEL_MAP),
    )


def ventricle_report() -> StudyReport:
    volume = a_head(modality="MR")
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[8:12, 50:70, 55:70] = 1
    report = a_report(volume)
    return replace(
        report,
        source=replace(report.source, modality="MR"),
        study=StudyFinding({}, {}),
        slices=(),
        volume_ml=None,
        ventricles=Ventricles(13.5, 1200),
        label_map=volume.with_voxels(labels, LABEL_MAP),
    )


def amount(page: Image.Image, colour: tuple[int, int, int]) -> int:
    """Pixels of exactly this colour."""
    return int(np.all(np.asarray(page) == colour, axis=-1).sum())


def test_the_file_is_a_whole_png_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    write_overview(a_report(), tmp_path / "deep" / "overview.png")
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["overview.png"]
    with Image.open(tmp_path / "deep" / "overview.png") as page:
        page.load()
        assert page.mode == "RGB"
        assert page.width == PAGE_WIDTH
        assert page.info == {}, "no text chunk may hold a name"


def test_mistakes_are_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.png"):
        write_overview(a_report(), tmp_path / "overview.jpg")
    with pytest.raises(UserError, match="without its scan"):
        draw_overview(StudyReport.from_json(a_report().to_json()))


@pytest.mark.parametrize("name", SUBTYPES)
def test_blood_is_drawn_in_the_colour_of_its_type(name: str) -> None:
    page = draw_overview(a_report(boxes={(9, 60, 40): (name, 20)}))
    drawn = {other: amount(page, TYPE_COLOURS[other]) for other in SUBTYPES}
    legend_alone = {other: amount(draw_overview(a_report()), TYPE_COLOURS[other]) for other in SUBTYPES}
    assert drawn[name] > legend_alone[name] + 400
    for other in SUBTYPES:
        if other != name:
            assert drawn[other] == legend_alone[other]


def test_the_right_of_the_patient_is_on_the_left() -> None:
    """A box at low columns, the patient's right in S-P-L, is left of the middle of its picture."""
    pictures = SlicePictures(
        a_head(),
        np.asarray(a_report(boxes={(9, 60, 40): ("subdural", 10)}).label_map.voxels),
        {LABEL_IDS["subdural"]: TYPE_COLOURS["subdural"]},
    )
    picture = pictures.axial(9, 300, 300)
    coloured = np.argwhere(np.ptp(picture.astype(int), axis=-1) > 30)
    assert len(coloured) > 100
    assert coloured[:, 1].max() < 150
    plain = pictures.axial(9, 300, 300, labels=False)
    assert np.ptp(plain.astype(int), axis=-1).max() == 0
    assert plain[150, 150, 0] == 112, "35 HU in the brain window of 0 to 80"


def test_pictures_keep_the_proportions_of_the_head_and_cut_off_the_air() -> None:
    head = a_head(depth=4, size=256)
    flat = Volume(head.voxels[:, ::2], display_affine((4, 128, 256), (5.0, 3.0, 1.5)))
    square, squeezed = (SlicePictures(one, None, {}).axial(2, 300, 300) for one in (head, flat))
    for picture in (square, squeezed):
        lit = np.argwhere(picture[..., 0] > 60)
        height, width = np.ptp(lit, axis=0) + 1
        assert abs(height - width) <= 12, "a ball is round whatever its pixels"
        assert height > 220, "uncut it would be 117"


def test_the_coronal_plane_has_the_top_of_the_head_above() -> None:
    volume = a_head(depth=30)
    labels = np.zeros(volume.shape, dtype=np.uint8)
    labels[24:27, 60:70, 60:70] = 5
    picture = SlicePictures(volume, labels, {5: TYPE_COLOURS["subdural"]}).coronal(64, 300, 300)
    coloured = np.argwhere(np.ptp(picture.astype(int), axis=-1) > 30)
    assert 0 < coloured[:, 0].max() < 120


def test_slices_are_even_and_hold_those_that_must_be_shown() -> None:
    assert even_slices(0, 99, 12) == [0, 9, 18, 27, 36, 45, 54, 63, 72, 81, 90, 99]
    with_lesions = even_slices(0, 99, 12, wanted=[28, 29, 50])
    assert len(with_lesions) == 12
    assert {28, 29, 50} <= set(with_lesions)
    assert even_slices(4, 6, 12) == [4, 5, 6]
    assert even_slices(0, 9, 2, wanted=[3, 4, 5]) == [3, 4, 5]
    assert even_slices(7, 7, 20) == [7]


def test_every_lesion_has_its_own_largest_slice() -> None:
    """Two of one type that share slices: the small one's place is not taken for the large one's."""
    report = a_report(boxes={(6, 40, 40): ("subdural", 20), (8, 80, 80): ("subdural", 6)})
    labels = np.array(report.label_map.voxels)
    labels[7, 60, 40:60] = LABEL_IDS["subdural"]  # the large one is largest on its second slice
    labels[9, 86, 80:86] = LABEL_IDS["subdural"]
    report = replace(report, label_map=report.label_map.with_voxels(labels))
    assert [one.index for one in _largest_slices(report)] == [7, 9]


def test_a_call_and_its_absence_look_different() -> None:
    called, healthy = draw_overview(a_report(probability=0.9)), draw_overview(a_report(probability=0.2))
    assert amount(called, CALLED) > 300
    assert amount(healthy, CALLED) == 0
    for page in (called, healthy):
        assert amount(page, CAUTION) > 3000, "the words that this is research stand on every page"
    assert verdict(a_report(probability=0.9))[:2] == (
        "Likely haemorrhage",
        "Nothing outlined. Probability 0.90, called from 0.50 on.",
    )
    assert verdict(a_report(probability=0.2))[:2] == ("Haemorrhage unlikely", "Probability 0.20, called from 0.50 on.")
    outlined = verdict(a_report(boxes={(9, 60, 40): ("subdural", 20)}, probability=0.2))
    assert outlined[1].startswith("Though 9.0 mL, slices 10 to 11 outlined.")
    assert len({verdict(a_report(probability=one))[2] for one in (0.2, 0.4, 0.6, 0.9)}) == 3


@pytest.mark.parametrize(
    ("any_probability", "boxes", "tags"),
    [
        (0.9, {}, ["called", "called"]),  # the study, and the type that is called
        (0.2, {}, []),  # a type that is called where blood is unlikely is not worth naming
        (0.9, {(9, 60, 40): ("epidural", 20)}, ["called", "called", "outlined"]),
    ],
)
def test_types_are_tagged_by_the_rule_of_the_sentence(
    monkeypatch: pytest.MonkeyPatch, any_probability: float, boxes: dict[Any, Any], tags: list[str]
) -> None:
    report = a_report(boxes=boxes, probability=any_probability)
    calls = {**report.study.calls, "subdural": Call(True, 0.05)}
    written: list[str] = []
    plain = Canvas.text
    monkeypatch.setattr(
        Canvas,
        "text",
        lambda self, x, y, text, *rest, **named: (written.append(text), plain(self, x, y, text, *rest, **named))[1],
    )
    draw_overview(replace(report, study=replace(report.study, calls=calls)))
    assert sorted(one for one in written if one in ("called", "outlined")) == tags


def test_what_an_answer_is_worth_stands_beside_it() -> None:
    report = a_report()
    worth = Worth((0.81, 0.65, 0.95), (0.89, 0.78, 0.98), 63, "ct-ich")
    measured = replace(report, study=replace(report.study, worth=worth))
    assert verdict(measured)[1].endswith(
        "Such calls had sensitivity 0.81 (0.65 to 0.95) and specificity 0.89 (0.78 to 0.98) on 63 patients of ct-ich "
        "whom no network had seen."
    )
    assert draw_overview(measured).size != draw_overview(report).size


def test_what_makes_an_answer_doubtful_stands_beside_the_call() -> None:
    report = a_report(probability=0.2)
    doubtful = replace(report, source=report.source.with_remarks([note("small"), part("1 slice missing"), "tilted"]))
    assert doubtful.source.warnings == ("1 slice missing", "tilted", "small")
    assert verdict(doubtful)[:2] == (
        "Haemorrhage unlikely",
        "In the part that was read. Probability 0.20, called from 0.50 on.",
    )
    assert doubt_of(doubtful.source) == "1 slice missing. And 1 more below."
    plain = draw_overview(replace(report, source=report.source.with_remarks([note("1 slice missing")])))
    assert amount(draw_overview(doubtful), CAUTION) > amount(plain, CAUTION) + 50


def test_text_beside_the_head_is_not_drawn_where_the_file_says_that_there_is_some() -> None:
    volume = a_head(depth=6)
    voxels = np.array(volume.voxels)
    page = Image.new("L", volume.shape[:0:-1])
    draw = ImageDraw.Draw(page)
    draw.text((1, 1), "NAME^PLANTED", fill=255)
    draw.text((1, 20), "1939", fill=255, font_size=20)
    letters = np.asarray(page) > 128
    air = voxels[0] <= -900
    beside = letters & air & ~ndimage.binary_dilation(~air, iterations=8)
    assert beside.sum() > 50
    voxels[:, beside] = 1000
    alone = head_alone(volume.with_voxels(voxels))
    assert (alone.voxels[:, beside] == -1000).all()
    tissue = np.asarray(volume.voxels) > -100
    np.testing.assert_array_equal(alone.voxels[tissue], np.asarray(volume.voxels)[tissue])


def test_without_a_classifier_nothing_is_said_to_be_healthy() -> None:
    report = replace(a_report(), study=StudyFinding({}, {}), slices=())
    assert verdict(report)[0] == "Nothing outlined"
    assert draw_overview(report).width == PAGE_WIDTH


def test_ventricles_have_their_own_colour_and_no_call() -> None:
    page = draw_overview(ventricle_report())
    assert amount(page, VENTRICLE_COLOUR) > 400
    assert amount(page, TYPE_COLOURS["epidural"]) == 0, "label 1 is not blood here"
    assert verdict(ventricle_report())[0] == "Ventricles 13.5 mL"


def test_mr_in_a_file_that_does_not_say_so_is_shown_by_its_own_greys() -> None:
    report = ventricle_report()
    as_read = replace(report.scan, volume=report.scan.volume.with_voxels(report.scan.volume.voxels, "CT"))
    assert draw_overview(replace(report, scan=as_read)).tobytes() == draw_overview(report).tobytes()


@pytest.mark.parametrize("depth", [1, 2, 3, 300])
def test_any_number_of_slices_makes_a_page(depth: int) -> None:
    volume = a_head(depth=depth, size=64)
    blood = a_report(volume, {(depth // 2, 30, 30): ("intraparenchymal", 8)}, spacing_known=depth > 1)
    for report in (blood, a_report(volume)):
        page = draw_overview(report)
        assert 500 < page.height < 2200


def test_many_lesions_and_long_warnings_do_not_grow_the_page_without_end() -> None:
    boxes = {(2 * (n // 8) + 2, 30 + 8 * (n % 8), 40 + 2 * n): (SUBTYPES[n % 5], 4) for n in range(24)}
    long = "a warning with a verylongwordthatnobodycanbreak" * 6
    report = a_report(boxes=boxes, warnings=(long, "wärme – ≥ 3 mm × 2") * 20)
    assert draw_overview(report).height < 2200


def test_air_alone_makes_a_page() -> None:
    empty = Volume(np.full((6, 40, 40), -1000.0), display_affine((6, 40, 40), (5.0, 1.0, 1.0)))
    assert draw_overview(a_report(empty, probability=0.1)).width == PAGE_WIDTH


def test_lines_fit() -> None:
    text = "one two three four five six seven eight nine ten"
    lines = wrapped(text, 16, 120, 9)
    assert " ".join(lines) == text
    assert all(text_width(line, 16) <= 120 for line in lines)
    cut = wrapped(text, 16, 120, 2)
    assert len(cut) == 2
    assert cut[1].endswith("...")
    assert text_width(cut[1], 16) <= 120
    assert text_width(shortened("x" * 200, 16, 90), 16) <= 90


def test_no_letter_is_drawn_as_the_box_of_a_missing_one() -> None:
    pages = []
    for text in ("caf\u00e9", "cafe"):
        canvas = Canvas(100, 30)
        canvas.text(2, 2, text, 16)
        pages.append(canvas.finished(30).tobytes())
    assert pages[0] == pages[1]


def ct_with_ventricles() -> StudyReport:
    """Blood in a part of the ventricles of a CT, and all that is measured of them."""
    report = a_report(boxes={(9, 60, 60): ("intraventricular", 8)})
    assert report.scan is not None
    ventricles = np.zeros(report.scan.volume.shape, dtype=np.uint8)
    ventricles[8:12, 50:70, 55:75] = 1
    found = Ventricles(
        23.4,
        int(ventricles.sum()),
        12.0,
        11.4,
        1.2,
        0.051,
        0.31,
        9,
        -6.2,
        dict.fromkeys(("volume_ml", "sides_ml", "blood_share", "evans_index", "midline_shift_mm"), "phantoms"),
    )
    return replace(report, ventricles=found, ventricle_map=report.scan.volume.with_voxels(ventricles, LABEL_MAP))


def test_ventricles_of_a_ct_are_a_line_about_its_blood_and_a_card() -> None:
    report = ct_with_ventricles()
    page, plain = draw_overview(report), draw_overview(replace(report, ventricles=None, ventricle_map=None))
    assert amount(page, VENTRICLE_COLOUR) > 300
    assert amount(plain, VENTRICLE_COLOUR) == 0
    blood = TYPE_COLOURS["intraventricular"]
    assert amount(page, blood) > 0.9 * amount(plain, blood), "what is in them is seen"
    assert verdict(report) == verdict(replace(report, ventricles=None)), "the call is that of blood"
    assert page.height >= plain.height


def test_a_line_leaves_what_is_inside_as_it_is() -> None:
    report = ct_with_ventricles()
    pictures = pictures_of(replace(report, label_map=None))
    drawn, bare = (pictures.axial(9, 400, 400, labels=labels).astype(int) for labels in (True, False))
    changed = np.abs(drawn - bare).max(axis=-1) > 30
    rows, columns = np.nonzero(changed)
    middle = changed[(rows.min() + rows.max()) // 2 - 5 :, (columns.min() + columns.max()) // 2 - 5 :][:10, :10]
    assert changed.any()
    assert not middle.any()

"""One scan in, one report out: the pipeline behind `predict`, the demo, the API and `hemobench.analyse`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from hemobench.errors import UserError
from hemobench.inference.checkpoint import Checkpoint
from hemobench.inference.config import JOINT_STUDY, VENTRICLE_ROLES
from hemobench.inference.engine import Engine, shared_engine
from hemobench.inference.intake import Intake, take_in
from hemobench.inference.joint import joint_answer
from hemobench.inference.lesions import DEFAULT_RULES, LesionRules, LesionSearch, lesions_of
from hemobench.inference.networks import (
    ClassProbabilities,
    classify,
    find_blood,
    find_ventricles,
    threshold_of,
)
from hemobench.inference.report import (
    Call,
    ModelUsed,
    SliceFinding,
    Source,
    StudyFinding,
    StudyReport,
    Ventricles,
    Worth,
)
from hemobench.inference.shipped import CheckpointSource, checkpoints_by_role
from hemobench.inference.study_sentence import verdict_of
from hemobench.inference.ventricle_measures import ventricles_in_ct, ventricles_in_mr
from hemobench.io import Scan
from hemobench.io.remarks import note
from hemobench.labels import CLASSES, LABEL_IDS
from hemobench.volume import LABEL_MAP, Volume

# Which roles look at what; all but "ventricles" read CT and pictures of it.
_CT_ROLES = ("slice-classifier", "haemorrhage", "ventricles-ct")
_ROLES_FOR = {"CT": _CT_ROLES, "grey": _CT_ROLES, "MR": ("ventricles",)}
_DIGITS = 6


def analyse(
    scan: str | Path | Volume | Scan,
    checkpoint: CheckpointSource | Sequence[CheckpointSource] | None = None,
    *,
    engine: str = "auto",
    flip_tta: bool = False,
    series: str | None = None,
    modality: str | None = None,
    rules: LesionRules = DEFAULT_RULES,
    on_stage: Callable[[str], None] | None = None,
    on_part: Callable[[str, float], None] | None = None,
) -> StudyReport:
    """Everything that the networks find in one scan.

    CT and pictures go to the slice classifier, the haemorrhage network and the ventricle network of CT, MR to that of
    MR; what no checkpoint is there for stays out of the report. The networks are loaded once a process and keep nothing
    of a scan.

    Args:
        scan: A path (DICOM folder or zip, NIfTI, MGZ, PNG, JPEG, npz, npy), a Volume in Hounsfield units, or a Scan.
        checkpoint: Folders, shipped names or Hub ids, one a role. None: `$HEMOBENCH_CHECKPOINT`, or the shipped ones.
        engine: "auto", "openvino" or "torch".
        flip_tta: Average each answer with that of the mirrored scan.
        series: Which of several DICOM series, by number or SeriesInstanceUID.
        modality: "CT", "MR" or "grey" in place of what the file seems to be.
        rules: Which spots of blood are too small to count, in mL.
        on_stage: Told the name of each stage as it begins: "reading", "loading", "resampling", a role, "lesions",
            "measuring".
        on_part: Told of a role whose network looks window by window, and of the share that is done.

    Returns:
        The report: `study` and `slices` (probabilities, calls), `lesions` and `volume_ml` in mL, `label_map` (D, H, W)
        on the scan's own grid, and in `source` the warnings that make an answer doubtful.

    Raises:
        HemobenchError: The scan cannot be read, or no checkpoint fits it.
    """
    watch = _Watch(on_stage, on_part)
    with watch.stage("reading"):
        taken = take_in(scan, series=series, modality=modality)
    with watch.stage("loading"):
        networks = _networks_for(taken, checkpoints_by_role(checkpoint), engine)
    found = _Findings(warnings=[*taken.warnings, *_origins(networks)])
    if "slice-classifier" in networks:
        opened, runner = networks["slice-classifier"]
        found.classes = classify(taken.volume, opened.config, runner, watch.stage, flip_tta=flip_tta)
        found.decided_by, found.level = opened, "study"
    if "haemorrhage" in networks:
        _look_for_blood(taken, networks["haemorrhage"], found, watch, flip_tta, rules)
    for role in VENTRICLE_ROLES:
        if role in networks:
            _outline_ventricles(taken, networks[role], found, watch, flip_tta)
    return _report(taken, networks, found, watch)


_Networks = dict[str, tuple[Checkpoint, Engine]]


class _Watch:
    """Seconds by stage; a stage that runs again adds to its own."""

    def __init__(
        self,
        on_stage: Callable[[str], None] | None = None,
        on_part: Callable[[str, float], None] | None = None,
    ) -> None:
        self._seconds: dict[str, float] = {}
        self._start = time.perf_counter()
        self._on_stage, self._on_part = on_stage, on_part

    def part(self, name: str, share: float) -> None:
        """Tell how far a stage is."""
        if self._on_part is not None:
            self._on_part(name, share)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self._on_stage is not None:
            self._on_stage(name)
        start = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - start

    def read(self) -> dict[str, float]:
        total = time.perf_counter() - self._start
        return {name: round(seconds, _DIGITS) for name, seconds in {**self._seconds, "total": total}.items()}


@dataclass
class _Findings:
    """What the networks have said so far. `decided_by` gave the probabilities, its thresholds are those of `level`."""

    warnings: list[str]
    classes: ClassProbabilities | None = None
    decided_by: Checkpoint | None = None
    level: str = "study"
    search: LesionSearch | None = None
    ventricles: Ventricles | None = None
    label_map: Volume | None = None
    ventricle_map: Volume | None = None


def _networks_for(taken: Intake, by_role: dict[str, Checkpoint], engine: str) -> _Networks:
    """Checkpoints and engines of the roles that read this modality, in the order of the roles."""
    roles = [role for role in _ROLES_FOR[taken.modality] if role in by_role]
    if not roles:
        raise UserError(
            f"a scan of modality {taken.modality} and checkpoints for {', '.join(by_role)}; expected one for "
            f"{' or '.join(_ROLES_FOR[taken.modality])}; give another checkpoint or scan"
        )
    return {role: (by_role[role], shared_engine(by_role[role], engine)) for role in roles}


def _origins(networks: _Networks) -> list[str]:
    return [
        note(f"the {role} network '{checkpoint.name}' has learned from phantoms alone")
        for role, (checkpoint, _) in networks.items()
        if checkpoint.config.training.get("phantom")
    ]


def _look_for_blood(
    taken: Intake,
    network: tuple[Checkpoint, Engine],
    found: _Findings,
    watch: _Watch,
    flip_tta: bool,
    rules: LesionRules,
) -> None:
    """Let the voxels speak for slices and study (`_judge`), outline blood and split it into lesions."""
    checkpoint, engine = network
    blood = find_blood(taken.volume, checkpoint.config, engine, watch.stage, flip_tta=flip_tta)
    assert blood.summary is not None
    _judge(found, blood.summary, checkpoint)
    with watch.stage("lesions"):
        # On the volume's grid, whose millimetres are the likelier ones where the scan has none.
        on_volume = taken.volume.with_voxels(blood.labels, LABEL_MAP)
        search = lesions_of(on_volume, blood.probability, spacing_known=taken.scan.spacing_known, rules=rules)
    found.search = search
    found.label_map = taken.scan.volume.with_voxels(np.asarray(search.label_map.voxels), LABEL_MAP)
    if search.left_out:
        spots = "1 spot" if search.left_out == 1 else f"{search.left_out} spots"
        size = f" below {rules.min_ml:g} mL ({search.left_out_ml:.2g} mL in all)" if taken.scan.spacing_known else ""
        found.warnings.append(note(f"left out as too small: {spots} of blood{size}"))


def _judge(found: _Findings, summary: ClassProbabilities, segmenter: Checkpoint) -> None:
    """Who decides about slices and study: both networks where the segmenter was calibrated with this classifier, else
    the classifier; without one the segmenter, by its own rule or, where it has none, by its likeliest voxel."""
    config = segmenter.config
    if found.classes is not None and found.decided_by is not None:
        if config.joint_with and config.joint_with == found.decided_by.config.name:
            found.classes = joint_answer(found.classes, summary, config)
            found.decided_by, found.level = segmenter, JOINT_STUDY
        return
    found.classes, found.decided_by = summary, segmenter
    found.level = "study" if "study" in config.calibration else "voxel"
    if found.level == "voxel":
        found.warnings.append("no slice classifier was used: probabilities are those of the likeliest voxel")


def _outline_ventricles(
    taken: Intake, network: tuple[Checkpoint, Engine], found: _Findings, watch: _Watch, flip_tta: bool
) -> None:
    """Outline the ventricles and measure them: in MR they are the label map, in CT they stand beside that of blood."""
    checkpoint, engine = network
    outlined = find_ventricles(
        taken.volume,
        checkpoint.config,
        engine,
        watch.stage,
        flip_tta=flip_tta,
        on_window=lambda share: watch.part(checkpoint.config.role, share),
    )
    mask = taken.scan.volume.with_voxels(outlined.labels, LABEL_MAP)
    known = taken.scan.spacing_known
    if taken.modality == "MR":
        found.label_map, found.ventricles = mask, ventricles_in_mr(mask, spacing_known=known)
        return
    found.ventricle_map = mask
    blood = None if found.label_map is None else np.asarray(found.label_map.voxels)
    with watch.stage("measuring"):
        head = taken.scan.volume.with_voxels(np.asarray(taken.volume.voxels), taken.modality)
        found.ventricles = ventricles_in_ct(head, mask, blood, spacing_known=known)


def _report(taken: Intake, networks: _Networks, found: _Findings, watch: _Watch) -> StudyReport:
    scan = taken.scan
    study = _study_finding(found)
    lesions = () if found.search is None else found.search.lesions
    depth_mm, row_mm, column_mm = (round(length, _DIGITS) for length in scan.volume.spacing_mm)
    source = Source(
        kind=scan.kind,
        files=taken.files,
        modality=taken.modality,
        shape=scan.volume.shape,
        spacing_mm=(depth_mm, row_mm, column_mm) if scan.spacing_known else None,
        warnings=(),
        pixel_mm=(row_mm, column_mm) if scan.plane_known else None,
        unlike=taken.unlike,
    ).with_remarks([*found.warnings, *_contradiction(study, found)])
    report = StudyReport(
        source=source,
        model=tuple(
            ModelUsed(role, one.name, one.revision, one.sha256, engine.description)
            for role, (one, engine) in networks.items()
        ),
        study=study,
        slices=_slice_findings(scan, found.classes),
        lesions=lesions,
        volume_ml=_volumes(found.search) if scan.spacing_known else None,
        ventricles=found.ventricles,
        timing_s=watch.read(),
        scan=scan,
        label_map=found.label_map,
        ventricle_map=found.ventricle_map,
    )
    return replace(report, study=replace(study, verdict=verdict_of(report)))


def _study_finding(found: _Findings) -> StudyFinding:
    if found.classes is None or found.decided_by is None:
        return StudyFinding({}, {})
    # Rounded first, so that what is shown and what is called agree.
    probabilities = {name: round(found.classes.study[name], _DIGITS) for name in CLASSES}
    config = found.decided_by.config
    any_threshold = threshold_of(config, "voxel", "any") if found.level == "voxel" else None
    calls = {}
    for name, probability in probabilities.items():
        threshold = threshold_of(config, found.level, name) if any_threshold is None else any_threshold
        calls[name] = Call(probability >= threshold, threshold)
    return StudyFinding(probabilities, calls, worth=_worth(found))


def _worth(found: _Findings) -> Worth | None:
    """What the calls of these networks together were worth on patients whom they had not seen, as far as the deciding
    checkpoint's metrics say."""
    if found.decided_by is None or found.level != JOINT_STUDY:
        return None
    measured = found.decided_by.metrics
    scores = measured.get("metrics", {})
    known = [scores.get(f"{name}_called_any_study_joint") for name in ("sensitivity", "specificity")]
    if any(score is None or score.get("mean") is None for score in known):
        return None
    sensitivity, specificity = ((score["mean"], *score["ci"]) for score in known)
    return Worth(sensitivity, specificity, int(measured.get("patients", 0)), str(measured.get("data", "")))


def _contradiction(study: StudyFinding, found: _Findings) -> list[str]:
    """A line where the call and the outlines do not agree on whether there is blood."""
    if found.search is None or found.level == "voxel":
        return []
    count = len(found.search.lesions)
    if study.calls["any"].positive and not count:
        return ["the study is called, and nothing is outlined"]
    if count and not study.calls["any"].positive:
        lesions = "1 lesion is" if count == 1 else f"{count} lesions are"
        return [f"the study is not called, and {lesions} outlined"]
    return []


def _slice_findings(scan: Scan, classes: ClassProbabilities | None) -> tuple[SliceFinding, ...]:
    depth, height, width = scan.volume.shape
    centres = np.stack([np.arange(depth), np.full(depth, (height - 1) / 2), np.full(depth, (width - 1) / 2)], axis=1)
    heights_mm = scan.volume.to_world(centres)[:, 2]
    return tuple(
        SliceFinding(
            index,
            round(float(heights_mm[index]), _DIGITS) if scan.spacing_known else None,
            {} if classes is None else {name: round(float(classes.slices[name][index]), _DIGITS) for name in CLASSES},
        )
        for index in range(depth)
    )


def _volumes(search: LesionSearch | None) -> dict[str, float] | None:
    """Millilitres in all and by type; the lesions hold every voxel of the label map."""
    if search is None:
        return None
    by_type = {name: sum(one.voxels for one in search.lesions if one.subtype == name) for name in LABEL_IDS}
    per_voxel_ml = search.label_map.voxel_volume_ml
    return {
        "total": sum(by_type.values()) * per_voxel_ml,
        **{name: voxels * per_voxel_ml for name, voxels in by_type.items()},
    }

"""Phantoms in the layout of HemSeg: masks by official part, the .jsonl of their slices, and those slices as RSNA's."""

from __future__ import annotations

import json
from pathlib import Path

from hemobench.datasets.rehearsal import Studies
from hemobench.datasets.rehearsal.bhsd import types_of
from hemobench.datasets.rehearsal.nifti_files import write_ids
from hemobench.datasets.rehearsal.rsna import CODINGS, IMAGES, write_study
from hemobench.datasets.rehearsal.rsna_names import rsna_images, rsna_patient, rsna_study
from hemobench.io.atomic import replacing

TABLE = "annotion_file_info.jsonl"
_TURNS = ("train", "train", "train", "val", "test")


def write_hemseg(root: Path, studies: Studies, seed: int, quirks: str) -> None:
    """`{train,val,test}/label/<scan>.nii.gz`, `annotion_file_info.jsonl`, and `rsna/stage_2_train/ID_*.dcm`.

    "real" leaves a slice of the first scan out, and the .jsonl does not name the second one.
    """
    lines = []
    for number, (patient_id, loaded) in enumerate(studies):
        images = rsna_images(patient_id, loaded.image.shape[0])
        write_study(root / "rsna" / IMAGES, patient_id, loaded, CODINGS[number % len(CODINGS)])
        scan = rsna_study(patient_id).removeprefix("ID_")
        mask = types_of(patient_id, loaded) > 0
        write_ids(mask, loaded.image, root / _TURNS[number % len(_TURNS)] / "label" / f"{scan}.nii.gz")
        if quirks == "real" and number == 0:
            (root / "rsna" / IMAGES / f"{images[0]}.dcm").unlink()
        if quirks == "real" and number == 1:
            continue
        # The authors' lists are in no order of positions, and without ID_.
        slices = sorted(name.removeprefix("ID_") for name in images)
        lines.append(json.dumps({"patient": rsna_patient(patient_id), "scan_": scan, "slice_list": slices}))
    with replacing(root / TABLE) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")

"""How a segmenter does on phantoms' bleeds that can be seen, and on those that cannot: two questions in one Dice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np

from hemobench.case import Case
from hemobench.datasets.phantom.visible import contrasts_hu
from hemobench.inference.config import CheckpointConfig
from hemobench.inference.engine import Engine
from hemobench.inference.lesions import lesions_of
from hemobench.inference.networks import find_blood
from hemobench.metrics.segmentation import voxel_counts
from hemobench.stats import case_mean, patient_bootstrap
from hemobench.volume import LABEL_MAP

VISIBLE_HU = 8.0
Progress = Callable[[int, int], None]


def contrast_section(
    config: CheckpointConfig, engine: Engine, cases: Sequence[Case], name: str, progress: Progress | None = None
) -> str:
    """A card's section on phantoms `cases` of the data set `name`, each through the pipeline on its own voxels.

    A bleed is seen where it differs from what lies around by VISIBLE_HU (`contrasts_hu`). Dice is of the bleeds that
    are seen, those that are not left out of both masks; of these it says how many are touched.
    """
    dice, unseen, touched, clean = [], 0, 0, []
    for number, case in enumerate(cases, start=1):
        loaded = case.load()
        assert loaded.label_map is not None
        found = find_blood(loaded.image, config, engine, lambda name: nullcontext(), summarise=False)
        kept = lesions_of(loaded.image.with_voxels(found.labels, LABEL_MAP), found.probability).label_map.voxels > 0
        hidden = np.zeros(kept.shape, dtype=np.bool_)
        for _, place, contrast in contrasts_hu(loaded.image, loaded.label_map):
            if contrast < VISIBLE_HU:
                hidden[tuple(place)] = True
                unseen += 1
                touched += bool(kept[tuple(place)].any())
        truth = (loaded.label_map > 0) & ~hidden
        if truth.any():
            dice.append(voxel_counts(kept & ~hidden, truth).dice)
        elif not hidden.any():
            clean.append(not kept.any())
        if progress is not None:
            progress(number, len(cases))
    interval = patient_bootstrap(case_mean(np.asarray(dice)), np.arange(len(dice)).astype(str), resamples=1000)
    healthy = f" Nothing is outlined in {sum(clean)} of {len(clean)} without any blood." if clean else ""
    return (
        f"## Phantoms, by what can be seen\n\nOf {len(cases)} generated phantoms ({name}) {len(dice)} have bleeds that "
        f"differ from what lies around by {VISIBLE_HU:g} HU or more: mean Dice of these, on the scans' own voxels, "
        f"{interval.estimate:.3f} ({interval.low:.3f} to {interval.high:.3f}), median {np.median(dice):.3f}. Of "
        f"{unseen} pieces nearer than that to their surroundings, {touched} are touched by an outline.{healthy} Scores "
        "on phantoms are scores on phantoms."
    )

"""One answer of two networks: what a slice classifier and a segmenter say of slices and study, weighed and calibrated.

The mean of calibrated logits is a logarithmic opinion pool (Genest and Zidek, Statistical Science 1986): each network
moves the odds by what its own evidence is worth.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from hemobench.inference.config import JOINT_SLICE, JOINT_STUDY, CheckpointConfig
from hemobench.inference.networks import ClassProbabilities
from hemobench.labels import CLASSES

_SURE = 1e-6


def pooled(classifier: NDArray[np.floating], segmenter: NDArray[np.floating], share: float) -> NDArray[np.float64]:
    """Logits of two calibrated probabilities of one shape, the classifier's counting `share`.

    >>> pooled(np.array([0.5]), np.array([0.9]), 0.5).round(3)  # half of ln 9
    array([1.099])
    """
    first, second = (
        logit(np.clip(np.asarray(each, dtype=np.float64), _SURE, 1 - _SURE)) for each in (classifier, segmenter)
    )
    return np.asarray(share * first + (1 - share) * second)


def joint_answer(
    classifier: ClassProbabilities, segmenter: ClassProbabilities, config: CheckpointConfig
) -> ClassProbabilities:
    """What both say together, by the segmenter's `config`."""
    slices = {
        name: pooled(classifier.slices[name], segmenter.slices[name], config.classifier_share) for name in CLASSES
    }
    study = {
        name: pooled(np.asarray(classifier.study[name]), np.asarray(segmenter.study[name]), config.classifier_share)
        for name in CLASSES
    }
    return ClassProbabilities(
        {name: _calibrated(config, JOINT_SLICE, name, logits) for name, logits in slices.items()},
        {name: float(_calibrated(config, JOINT_STUDY, name, logits)) for name, logits in study.items()},
        np.stack([slices[name] for name in CLASSES], axis=1),
        np.asarray([study[name] for name in CLASSES], dtype=np.float64),
    )


def _calibrated(config: CheckpointConfig, level: str, name: str, logits: NDArray[np.float64]) -> NDArray[np.float64]:
    slope, offset = config.calibrated(level, name)
    return np.asarray(expit(slope * logits + offset))

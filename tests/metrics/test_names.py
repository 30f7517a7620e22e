"""Every metric has words of its own, which are words."""

from __future__ import annotations

from hemobench.metrics.definitions import METRICS
from hemobench.metrics.names import metric_words


def test_every_metric_has_words_that_no_other_has() -> None:
    words = {name: metric_words(name) for name in METRICS}
    assert len(set(words.values())) == len(METRICS)
    assert not [one for one in words.values() if "_" in one]
    assert max(map(len, words.values())) <= 60
    assert words["sens_at_spec90_any"] == "sensitivity at 90% specificity"
    assert words["dice_any"] == "Dice"
    assert words["auroc_subdural_study"] == "AUROC, subdural, by study"


def test_other_names_are_left_as_words() -> None:
    assert metric_words("my_metric") == "my metric"

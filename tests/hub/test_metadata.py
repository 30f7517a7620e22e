from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from huggingface_hub import ModelCard
from shareable import BODY, scores, shareable
from small_checkpoints import small_config

from hemobench.hub.metadata import eval_result_files, front_matter, headlines, with_front_matter


def test_the_hubs_client_reads_the_model_index() -> None:
    config = small_config("slice-classifier")
    card = ModelCard(front_matter(config, scores("slice-classifier")) + BODY)
    assert card.data.license == "apache-2.0"
    assert card.data.library_name == "timm"
    assert {"hemobench", "medical-imaging", "head-ct", "timm"} <= set(card.data.tags)
    results = card.data.eval_results
    assert [(one.dataset_type, one.metric_type, one.metric_name, one.metric_value) for one in results] == [
        (data, "roc_auc", "auroc_any", 0.8125) for data in ("phantom", "ct-ich", "bhsd")
    ]
    assert results[0].dataset_name == "phantom (test part): 5 generated phantoms"
    assert results[1].dataset_name == "ct-ich: 5 real patients"
    assert results[0].metric_args == {"ci95": [0.7, 0.9]}


def test_the_hubs_client_reads_the_eval_results() -> None:
    entries = pytest.importorskip("huggingface_hub._eval_results")
    files = eval_result_files(small_config("ventricles"), scores("ventricles"), "someone/net")
    assert list(files) == [f".eval_results/hemobench-{name}.yaml" for name in ("phantom-test-part", "ct-ich", "bhsd")]
    (entry,) = entries.parse_eval_result_entries(yaml.safe_load(files[".eval_results/hemobench-ct-ich.yaml"]))
    assert (entry.dataset_id, entry.task_id, entry.value) == ("someone/hemobench-ct-ich", "dice_ventricles", 0.8125)
    assert entry.notes == "ct-ich, 5 real patients; 95% interval by patient 0.700 to 0.900"


def test_undefined_scores_and_those_without_interval_are_no_headlines() -> None:
    metrics = scores("slice-classifier")
    metrics["metrics"]["auroc_macro"] = {"mean": 0.5}
    names = [(one.data, one.metric) for one in headlines(small_config("slice-classifier"), metrics)]
    assert names == [("phantom (test part)", "auroc_any"), ("ct-ich", "auroc_any"), ("bhsd", "auroc_any")]


def test_answers_out_of_fold_are_called_so() -> None:
    config = small_config("slice-classifier", training={"folds": 5})
    assert headlines(config, scores("slice-classifier"))[0].data == "phantom (out of fold)"


def test_two_sets_of_one_name_are_told_apart() -> None:
    metrics = scores("slice-classifier")
    metrics["others"] = [metrics["others"][0], {**metrics["others"][0], "patients": 9}]
    config = small_config("slice-classifier")
    assert [(one.data, one.patients) for one in headlines(config, metrics)] == [
        ("phantom (test part)", 5),
        ("ct-ich", 5),
        ("ct-ich (2)", 9),
    ]
    files = eval_result_files(config, metrics, "someone/net")
    assert yaml.safe_load(files[".eval_results/hemobench-ct-ich-2.yaml"])[0]["dataset"]["id"].endswith("-ct-ich")


def test_front_matter_is_replaced_and_made_where_there_is_none(tmp_path: Path) -> None:
    config, metrics = shareable(tmp_path / "net").config, scores("slice-classifier")
    new = front_matter(config, metrics)
    assert with_front_matter("# Only text\n", config, metrics) == new + "# Only text\n"
    once = with_front_matter("---\nlicense: mit\n---\n# Text\n\n---\n\nmore\n", config, metrics)
    assert once == new + "# Text\n\n---\n\nmore\n"
    assert with_front_matter(once, config, metrics) == once

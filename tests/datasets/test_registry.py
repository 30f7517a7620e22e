from __future__ import annotations

from pathlib import Path

import pytest

from hemobench.datasets.opening import dataset_info, known_datasets, open_dataset, parse_spec, spec_options
from hemobench.errors import UserError
from hemobench.views.view import TARGETS


def test_every_known_data_set_is_described() -> None:
    assert {"phantom", "phantom-t1", "ct-ich", "zeta", "ventricles", "image-folder"} <= set(known_datasets())
    for name in known_datasets():
        info = dataset_info(name)
        assert info.name == name
        assert info.phantom == name.startswith("phantom")
        assert all((info.title, info.tasks, info.labels, info.licence, info.size, info.citation, info.where))
        assert info.lineage
        # What compare and train ask before they read anything.
        assert bool(info.masks) == ("segmentation" in info.tasks)
        assert set(info.masks) <= set(TARGETS)
    # Zeta shows RSNA's pictures: their patients are the same people.
    assert dataset_info("zeta").lineage == "rsna"
    assert dataset_info("phantom-t1").lineage == "phantom"


def test_specs_are_name_and_path() -> None:
    assert parse_spec("phantom") == ("phantom", None)
    assert parse_spec("ct-ich:some/folder") == ("ct-ich", Path("some/folder"))
    # A colon in the path is the path's.
    assert parse_spec("ct-ich:C:/scans") == ("ct-ich", Path("C:/scans"))
    assert parse_spec("ct-ich:~/scans")[1] == Path.home() / "scans"


def test_unknown_names_list_the_known() -> None:
    for call in (open_dataset, parse_spec, dataset_info):
        with pytest.raises(UserError, match=r"unknown data set 'ct-ihc'; known: bhsd, .*mean 'ct-ich'"):
            call("ct-ihc")


def test_unknown_options_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="option patients for data set 'ct-ich'; expected no options"):
        open_dataset(f"ct-ich:{tmp_path}", patients=3)


def test_path_reaches_the_reader(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no Patients_CT"):
        open_dataset(f"ct-ich:{tmp_path}")
    with pytest.raises(UserError, match="without a path"):
        open_dataset("ct-ich")


def test_options_may_follow_the_path() -> None:
    spec = "phantom:maps, of 2021,patients=3,slices=4"
    assert parse_spec(spec) == ("phantom", Path("maps, of 2021"))
    assert spec_options(spec) == {"patients": 3, "slices": 4}
    # `product` is fixed by the name, so it is no option and belongs to the path.
    assert parse_spec("phantom:a,product=t1") == ("phantom", Path("a,product=t1"))
    assert len(open_dataset("phantom:,patients=5", seed=3).cases) == 5
    # What code says wins over the text.
    assert len(open_dataset("phantom:,patients=5", patients=2).cases) == 2
    with pytest.raises(UserError, match="option patients=many; expected a whole number"):
        open_dataset("phantom:,patients=many")

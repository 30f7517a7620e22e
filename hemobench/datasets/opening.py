"""Data sets by name: `open_dataset("ct-ich:PATH")`, `open_dataset("phantom", patients=20)`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

from hemobench.case import Dataset, DatasetInfo
from hemobench.datasets.catalogue import (
    BHSD,
    CQ500,
    CT_ICH,
    FREESURFER,
    HEMSEG,
    IMAGE_FOLDER,
    INSTANCE22,
    MBH_SEG,
    NIFTI_FOLDER,
    PHANTOM,
    PHANTOM_T1,
    RSNA,
    VENTRICLES,
    ZETA,
)
from hemobench.errors import UserError, unknown_name

__all__ = ["Dataset", "DatasetInfo", "dataset_info", "known_datasets", "open_dataset", "parse_spec", "spec_options"]

PHANTOM_MARK = "phantom.json"


@dataclass(frozen=True)
class _Entry:
    """A known data set and where its opener stands: `module:function`, imported when first used."""

    info: DatasetInfo
    opener: str
    fixed: dict[str, Any] = field(default_factory=dict)


_ENTRIES = {
    entry.info.name: entry
    for entry in (
        _Entry(PHANTOM, "hemobench.datasets.phantom:open_phantom", {"product": "ct"}),
        _Entry(PHANTOM_T1, "hemobench.datasets.phantom:open_phantom", {"product": "t1"}),
        _Entry(CT_ICH, "hemobench.datasets.ct_ich.dataset:open_ct_ich"),
        _Entry(ZETA, "hemobench.datasets.zeta.dataset:open_zeta"),
        _Entry(VENTRICLES, "hemobench.datasets.ventricles:open_ventricles"),
        _Entry(FREESURFER, "hemobench.datasets.freesurfer:open_freesurfer"),
        _Entry(RSNA, "hemobench.datasets.rsna.dataset:open_rsna"),
        _Entry(BHSD, "hemobench.datasets.bhsd:open_bhsd"),
        _Entry(MBH_SEG, "hemobench.datasets.bhsd:open_mbh_seg"),
        _Entry(INSTANCE22, "hemobench.datasets.instance22:open_instance22"),
        _Entry(HEMSEG, "hemobench.datasets.hemseg:open_hemseg"),
        _Entry(CQ500, "hemobench.datasets.cq500:open_cq500"),
        _Entry(NIFTI_FOLDER, "hemobench.datasets.nifti_folder:open_nifti_folder"),
        _Entry(IMAGE_FOLDER, "hemobench.datasets.image_folder:open_image_folder"),
    )
}


def known_datasets() -> tuple[str, ...]:
    """Names that `open_dataset` takes."""
    return tuple(_ENTRIES)


def dataset_info(name: str) -> DatasetInfo:
    """Description of the data set of this name; an unknown one raises UserError listing the names."""
    if name not in _ENTRIES:
        raise unknown_name("data set", name, _ENTRIES)
    return _ENTRIES[name].info


def parse_spec(spec: str) -> tuple[str, Path | None]:
    """Name and path of `NAME` or `NAME:PATH`; the name is checked, the path is not.

    Options may follow the path, `NAME:PATH,option=value,...`, so that a command line reaches them: see `spec_options`.

    >>> parse_spec("phantom")
    ('phantom', None)
    """
    name, path, _ = _divided(spec)
    return name, Path(path).expanduser() if path else None


def spec_options(spec: str) -> dict[str, Any]:
    """Options written behind the path, as the data set's opener wants them.

    A comma that no option of this data set follows belongs to the path. Raises UserError for a value of another type.

    >>> spec_options("phantom:,patients=20,seed=7")
    {'patients': 20, 'seed': 7}
    """
    name, _, texts = _divided(spec)
    types = get_type_hints(_opener(_ENTRIES[name]))
    return {option: _converted(option, text, types.get(option)) for option, text in texts.items()}


def open_dataset(spec: str, *, progress: Callable[[int, int], None] | None = None, **options: Any) -> Dataset:
    """A data set by name: its cases, none of them decoded yet.

    Args:
        spec: `NAME` or `NAME:PATH`, with options behind the path if need be (`NAME:PATH,option=value`);
            `known_datasets()` and `hemobench data list` tell the names.
        progress: Called as (done, total) by those that have to read much before the first case is known.
        **options: Of the data set's own opener, such as `patients=20` for phantoms.

    Returns:
        The data set: `cases`, each with `patient_id` and `load()`, a `fingerprint`, and the `warnings` about this copy.

    Raises:
        HemobenchError: A name or option is unknown, or the folder is not what the data set's layout says.
    """
    name, path = parse_spec(spec)
    entry = _ENTRIES[name]
    opener, allowed = _opener(entry), _options_of(entry)
    options = {**spec_options(spec), **options}
    unknown = sorted(set(options) - set(allowed))
    if unknown:
        raise UserError(
            f"option {', '.join(unknown)} for data set '{name}'; "
            f"expected {'one of ' + ', '.join(allowed) if allowed else 'no options'}; remove it"
        )
    if "progress" in inspect.signature(opener).parameters:
        options["progress"] = progress
    dataset = opener(path, **entry.fixed, **options)
    if path is not None and (path / PHANTOM_MARK).is_file():
        # A rehearsal copy reads like the official one; its patients must never pass for scanned ones.
        dataset = replace(dataset, info=replace(dataset.info, phantom=True))
    return dataset


def _opener(entry: _Entry) -> Callable[..., Dataset]:
    module, _, function = entry.opener.partition(":")
    opener: Callable[..., Dataset] = getattr(import_module(module), function)
    return opener


def _options_of(entry: _Entry) -> list[str]:
    hidden = {"path", "progress", *entry.fixed}
    return [option for option in inspect.signature(_opener(entry)).parameters if option not in hidden]


def _divided(spec: str) -> tuple[str, str, dict[str, str]]:
    """Name, path and the options behind the path, all as text."""
    name, _, path = spec.partition(":")
    dataset_info(name)
    options: dict[str, str] = {}
    while "," in path:
        rest, _, last = path.rpartition(",")
        option, equals, value = last.partition("=")
        if not equals or option not in _options_of(_ENTRIES[name]):
            break
        path, options = rest, {option: value, **options}
    return name, path, options


def _converted(option: str, text: str, wanted: Any) -> Any:
    """The text as the first of these types that the opener's annotation names: Path, whole number, yes or no, text."""
    kinds = set(get_args(wanted)) | {wanted}
    if Path in kinds:
        return Path(text).expanduser()
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    if int in kinds:
        try:
            return int(text)
        except ValueError as error:
            if str not in kinds:
                raise UserError(f"option {option}={text}; expected a whole number; correct it") from error
    return text

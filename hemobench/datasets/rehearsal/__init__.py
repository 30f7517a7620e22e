"""Rehearsal copies: phantoms written in the official layouts of public data sets, so that readers can be tried on them.

To add a layout: a module beside this one with `write_<name>(root, studies, seed, quirks) -> None`, and a line in
`LAYOUTS`. `root` is an empty folder; `studies` gives (phantom's patient id, Loaded) one at a time and can be walked
once (patients do not fit in memory together); everything random comes from `seed`. `quirks` is "clean" for what the
reader handles without a word (byte-order marks, aliases, duplicates, empty values), or "real" to add the defects that
the official copies have and `hemobench data check` names (missing images, missing windows).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import MappingProxyType

from hemobench.case import Loaded
from hemobench.errors import unknown_name

__all__ = ["LAYOUTS", "QUIRKS", "Layout", "Studies", "get_layout"]

QUIRKS = ("clean", "real")
Studies = Iterable[tuple[str, Loaded]]


@dataclass(frozen=True)
class Layout:
    """An official layout. data_set: name to open a copy with. product: "ct" or "t1". writer: `module:function`."""

    name: str
    data_set: str
    product: str
    writer: str

    def write(self, root: Path, studies: Studies, seed: int, quirks: str = "clean") -> None:
        """Write the studies under `root`, an empty folder. Raises UserError for quirks of another name."""
        if quirks not in QUIRKS:
            raise unknown_name("quirks", quirks, QUIRKS)
        module, _, function = self.writer.partition(":")
        write: Callable[[Path, Studies, int, str], None] = getattr(import_module(module), function)
        write(root, studies, seed, quirks)


LAYOUTS = MappingProxyType(
    {
        name: Layout(name, data_set, product, f"{__name__}.{writer}")
        for name, data_set, product, writer in (
            ("ct-ich", "ct-ich", "ct", "ct_ich:write_ct_ich"),
            ("ct-ich-nifti", "ct-ich", "ct", "ct_ich_nifti:write_ct_ich_nifti"),
            ("zeta", "zeta", "ct", "zeta:write_zeta"),
            ("image-folder", "image-folder", "ct", "image_folder:write_image_folder"),
            ("ventricles", "ventricles", "t1", "ventricles:write_ventricles"),
            ("rsna", "rsna", "ct", "rsna:write_rsna"),
            ("bhsd", "bhsd", "ct", "bhsd:write_bhsd"),
            ("mbh-seg", "mbh-seg", "ct", "bhsd:write_mbh_seg"),
            ("instance22", "instance22", "ct", "bhsd:write_instance22"),
            ("hemseg", "hemseg", "ct", "hemseg:write_hemseg"),
            ("cq500", "cq500", "ct", "cq500:write_cq500"),
            ("nifti-folder", "nifti-folder", "ct", "nifti_folder:write_nifti_folder"),
        )
    }
)


def get_layout(name: str) -> Layout:
    """The layout of this name; an unknown one raises UserError listing the names."""
    if name not in LAYOUTS:
        raise unknown_name("layout", name, LAYOUTS)
    return LAYOUTS[name]

"""The data sets hemobench knows, described; the readers and the generator point here."""

from __future__ import annotations

from hemobench.datasets.case import DatasetInfo

PHANTOM = DatasetInfo(
    name="phantom",
    title="Generated head CT with haemorrhages",
    tasks=("classification", "segmentation"),
    labels="five types per slice, study and voxel",
    licence="Apache-2.0; anatomy from MNI152 (free with its notice)",
    size="as many patients as asked for",
    citation="hemobench; Fonov et al. 2011, NeuroImage 54:313 (anatomy)",
    where="embedded; `phantom:DIR` takes anatomies from the label maps in DIR",
    lineage="phantom",
    phantom=True,
)
PHANTOM_T1 = DatasetInfo(
    name="phantom-t1",
    title="Generated T1-weighted head MRI with ventricles",
    tasks=("segmentation",),
    labels="ventricles per voxel",
    licence=PHANTOM.licence,
    size=PHANTOM.size,
    citation=PHANTOM.citation,
    where="embedded; `phantom-t1:DIR` takes anatomies from the label maps in DIR",
    lineage="phantom",
    phantom=True,
)
CT_ICH = DatasetInfo(
    name="ct-ich",
    title="PhysioNet CT-ICH v1.0, JPEG slices in two windows",
    tasks=("classification",),
    labels="five types per slice; blood masks where the copy has them",
    licence="CC BY 4.0",
    size="82 patients, about 30 slices each",
    citation="Hssayeni et al. 2020, Data 5(1):14",
    where="https://physionet.org/content/ct-ich/1.0.0/",
    lineage="ct-ich",
    phantom=False,
)

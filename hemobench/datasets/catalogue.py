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
    title="PhysioNet CT-ICH: v1.0 JPEG slices in two windows, or v1.3.1 NIfTI",
    tasks=("classification", "segmentation"),
    labels="five types per slice; blood masks where the copy has them",
    licence="CC BY 4.0",
    size="82 patients (v1.3.1: 75), about 30 slices each",
    citation="Hssayeni et al. 2020, Data 5(1):14",
    where="https://physionet.org/content/ct-ich/",
    lineage="ct-ich",
    phantom=False,
)
ZETA = DatasetInfo(
    name="zeta",
    title="Zeta Hemorrhage Segmentation Project: RSNA slices rendered in four windows, polygons of radiologists",
    tasks=("classification", "segmentation"),
    labels="five types per picture; polygons for some",
    licence="by agreement; may not be shared",
    size="752,803 labelled pictures",
    citation="Zeta Surgical, Hemorrhage Segmentation Project; Flanders et al. 2020, Radiol Artif Intell 2(3):e190211",
    where="on request from Zeta Surgical; patients by RSNA's DICOM headers",
    lineage="rsna",
    phantom=False,
)
VENTRICLES = DatasetInfo(
    name="ventricles",
    title="Ventricles on OASIS-1 T1 volumes, npz or npy pairs",
    tasks=("segmentation",),
    labels="ventricles per voxel",
    licence="OASIS data use terms",
    size="87 volumes of 176 x 208 x 176",
    citation="Marcus et al. 2007, J Cogn Neurosci 19(9):1498",
    where="images: https://sites.wustl.edu/oasisbrains/; masks from the paper's authors",
    lineage="oasis-1",
    phantom=False,
)
IMAGE_FOLDER = DatasetInfo(
    name="image-folder",
    title="A folder of PNG or JPEG pictures with a table of labels, or one folder a class",
    tasks=("classification", "segmentation"),
    labels="as the table says: any, five types; masks where there are some",
    licence="your own",
    size="any",
    citation="your own",
    where="on your disk: image-folder:PATH",
    lineage="image-folder",
    phantom=False,
)

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
RSNA = DatasetInfo(
    name="rsna",
    title="RSNA 2019 Intracranial Hemorrhage Detection, DICOM slices",
    tasks=("classification",),
    labels="five types per slice",
    licence="RSNA's terms at Kaggle: non-commercial research",
    size="752,803 slices, 21,744 studies, 18,938 patients",
    citation="Flanders et al. 2020, Radiol Artif Intell 2(3):e190211",
    where="https://www.kaggle.com/competitions/rsna-intracranial-hemorrhage-detection/data",
    lineage="rsna",
    phantom=False,
)
BHSD = DatasetInfo(
    name="bhsd",
    title="Brain Hemorrhage Segmentation Dataset: 192 RSNA scans with voxel masks",
    tasks=("classification", "segmentation"),
    labels="five types per voxel, and so per slice",
    licence="MIT for the masks; RSNA's terms for the scans",
    size="192 scans",
    citation="Wu et al. 2023, MLMI (MICCAI workshop), LNCS 14348:147",
    where="https://huggingface.co/datasets/WuBiao/BHSD",
    lineage="rsna",
    phantom=False,
)
MBH_SEG = DatasetInfo(
    name="mbh-seg",
    title="MBH-Seg challenge: RSNA scans with voxel masks by up to four raters",
    tasks=("classification", "segmentation"),
    labels="five types per voxel, and so per slice; one rater or the majority",
    licence="the challenge's terms; RSNA's for the scans",
    size="as the challenge gives it out",
    citation="Wu et al. 2023, LNCS 14348:147; MBH-Seg challenge, MICCAI 2024 and 2025",
    where="https://mbh-seg.com",
    lineage="rsna",
    phantom=False,
)
INSTANCE22 = DatasetInfo(
    name="instance22",
    title="INSTANCE 2022: intracranial haemorrhage segmentation challenge",
    tasks=("segmentation",),
    labels="blood of any type per voxel",
    licence="by agreement with the challenge",
    size="100 labelled scans (of 200)",
    citation="Li et al. 2023, arXiv:2301.03281",
    where="https://instance.grand-challenge.org",
    lineage="instance22",
    phantom=False,
)
HEMSEG = DatasetInfo(
    name="hemseg",
    title="HemSeg-200 and -500: voxel masks of IPH and IVH for RSNA scans",
    tasks=("segmentation",),
    labels="blood per voxel, IPH and IVH merged",
    licence="free for research; RSNA's terms for the scans",
    size="222 or 525 scans",
    citation="Song et al. 2024, arXiv:2405.14559",
    where="https://github.com/songchangwei/3DCT-SD-IVH-ICH; scans from RSNA 2019 by option rsna",
    lineage="rsna",
    phantom=False,
)
CQ500 = DatasetInfo(
    name="cq500",
    title="CQ500: head CTs read by three radiologists",
    tasks=("classification",),
    labels="five types per study, by two of three readers; a slice counts as its study",
    licence="CC BY-NC-SA 4.0",
    size="491 studies, several series each",
    citation="Chilamkurthy et al. 2018, Lancet 392:2388",
    where="http://headctstudy.qure.ai/dataset",
    lineage="cq500",
    phantom=False,
)
NIFTI_FOLDER = DatasetInfo(
    name="nifti-folder",
    title="Your own NIfTI scans, with masks, with a table of labels, or both",
    tasks=("classification", "segmentation"),
    labels="what the copy has: five types or blood of any type per voxel, five types per study or slice",
    licence="your own",
    size="any",
    citation="your own",
    where="your disk: images/{study}.nii.gz, masks/{study}.nii.gz, labels.csv; other patterns by options",
    lineage="nifti-folder",
    phantom=False,
)

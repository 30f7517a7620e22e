"""Scans that are wrong on purpose: each is one seed, so that a failure can be made again."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pydicom
from dicom_files import SeriesPlan, enhanced_dataset, head_hu, save, slice_dataset, write_jpeg_lossless, write_series
from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

Rng = np.random.Generator


def write_sources(folder: Path) -> list[Path]:
    """One good scan of every kind; the mutants are made of them."""
    hu = head_hu(5)
    stored = (hu[2] + 1024).astype(np.uint16)
    made = [write_series(folder / "series", hu)[0]]
    for syntax in (RLELossless, JPEG2000Lossless, JPEGLSLossless):
        dataset = slice_dataset(stored, SeriesPlan(), 0)
        dataset.compress(syntax)
        made.append(save(dataset, folder / f"{syntax.keyword}.dcm"))
    deflated = slice_dataset(stored, SeriesPlan(), 0)
    deflated.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    made.append(save(deflated, folder / "deflated.dcm"))
    made.append(save(enhanced_dataset(hu, SeriesPlan()), folder / "enhanced.dcm"))
    made.append(write_jpeg_lossless(made[0], folder / "lossless.dcm"))
    with zipfile.ZipFile(folder / "series.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((folder / "series").iterdir()):
            archive.write(path, f"DICOM/{path.name}")
    affine = np.diag([-0.5, -0.5, 5, 1])
    for name in ("scan.nii", "scan.nii.gz"):
        nib.save(nib.Nifti1Image(hu.T, affine), folder / name)
    nib.save(nib.Nifti2Image(hu.T, affine), folder / "second.nii")
    nib.save(nib.MGHImage(hu.T.astype(np.float32), affine), folder / "scan.mgz")
    grey = (hu[2].clip(0, 80) * 3).astype(np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(np.stack([grey] * 3, -1)).save(folder / "rgb.jpg")
    Image.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    np.save(folder / "scan.npy", hu)
    np.savez(folder / "scan.npz", image=hu, affine=affine)
    np.savez_compressed(folder / "packed.npz", image=hu)
    made += [path for path in sorted(folder.iterdir()) if path.is_file() and path not in made]
    return made


def make_mutant(sources: list[Path], folder: Path, seed: int) -> tuple[str, Path]:
    """What was done, and the path to read."""
    rng = np.random.default_rng(seed)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    makers = (*([_damaged] * 10), _fields, _fields, _fields, _nifti, _nifti, _npy, _archive, _archive, _odd_folder)
    maker: Callable[[list[Path], Path, Rng], tuple[str, Path]] = makers[int(rng.integers(len(makers)))]
    return maker(sources, folder, rng)


def _damaged(sources: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    source = sources[int(rng.integers(len(sources)))]
    content = bytearray(source.read_bytes())
    packed = source.name.endswith((".nii.gz", ".mgz")) and rng.random() < 0.7
    if packed:
        content = bytearray(gzip.decompress(bytes(content)))
    damage = (_flip_bits, _flip_head, _cut, _blank, _repeat, _append, _splice)[int(rng.integers(7))]
    damage(content, rng, sources)
    if packed:
        content = bytearray(gzip.compress(bytes(content)))
    name = source.name
    if rng.random() < 0.15:
        name = (
            "renamed"
            + ("", ".dcm", ".nii", ".nii.gz", ".png", ".jpg", ".npz", ".npy", ".zip", ".mgz")[int(rng.integers(10))]
        )
    path = folder / name
    path.write_bytes(content)
    in_folder = source.parent.name == "series" and rng.random() < 0.5
    if in_folder:
        for other in sorted(source.parent.iterdir()):
            if other != source:
                shutil.copy(other, folder / other.name)
    return f"{damage.__name__} {source.name} as {name}", folder if in_folder else path


def _flip_bits(content: bytearray, rng: Rng, _: list[Path]) -> None:
    for _ in range(int(rng.integers(1, 65))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))


def _flip_head(content: bytearray, rng: Rng, _: list[Path]) -> None:
    """Bytes of the header, set to the values that headers go wrong by."""
    for _ in range(int(rng.integers(1, 13))):
        content[int(rng.integers(min(len(content), 1800)))] = (0, 1, 0x7F, 0x80, 0xFF)[int(rng.integers(5))]


def _cut(content: bytearray, rng: Rng, _: list[Path]) -> None:
    del content[int(rng.integers(len(content))) :]


def _blank(content: bytearray, rng: Rng, _: list[Path]) -> None:
    start = int(rng.integers(len(content)))
    length = min(len(content) - start, int(rng.integers(1, 400)))
    content[start : start + length] = bytes([int(rng.choice((0, 255)))]) * length


def _repeat(content: bytearray, rng: Rng, _: list[Path]) -> None:
    start, length = int(rng.integers(len(content))), int(rng.integers(1, 2000))
    content[start:start] = content[start : start + length]


def _append(content: bytearray, rng: Rng, _: list[Path]) -> None:
    content += rng.bytes(int(rng.integers(1, 5000)))


def _splice(content: bytearray, rng: Rng, sources: list[Path]) -> None:
    other = sources[int(rng.integers(len(sources)))].read_bytes()
    content[int(rng.integers(len(content))) :] = other[int(rng.integers(len(other))) :]


_LIES = {
    "Rows": (0, 1, 65535),
    "Columns": (0, 1, 65535),
    "NumberOfFrames": (0, -1, 2, 10**6, 2**31 - 1),
    "BitsAllocated": (0, 1, 12, 24, 32, 64),
    "BitsStored": (0, 1, 17, 64),
    "SamplesPerPixel": (0, 3, 4),
    "PixelRepresentation": (1, 2, 65535),
    "PixelSpacing": ([0, 0], [-1, 1], [1e30, 1e-30], [1]),
    "ImagePositionPatient": ([1e30, 0, 0], [0, 0], [0, 0, -1e6], [0, 0, 1e308]),
    "ImageOrientationPatient": ([0] * 6, [1, 0, 0, 1, 0, 0], [1e30] * 6, [1, 0, 0]),
    "RescaleSlope": (0, -1, 1e38, 1e300, 1e-300),
    "RescaleIntercept": (1e300, -1e38, 40000),
    "SliceThickness": (0, -5, 1e30),
    "PixelPaddingValue": (0, 1, 40),
    "Modality": ("", "MR", "XX"),
    "PhotometricInterpretation": ("MONOCHROME1", "RGB", "PALETTE COLOR", "X"),
    "SeriesInstanceUID": ("", "x"),
    "InstanceNumber": (0, 2**31 - 1, -1),
    "ImageType": ("", ["LOCALIZER"]),
    "SOPInstanceUID": ("",),
}
_TEXTS = ("nan", "inf", "-inf", "1e999", "abc", "1\\2\\3\\4\\5\\6\\7", "", "9" * 16, "0x10", "\0\0")


def _fields(sources: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    """Header fields of a few slices of a series, or of a compressed or multi-frame file, that lie."""
    names = ["series", "RLELossless.dcm", "JPEG2000Lossless.dcm", "JPEGLSLossless.dcm", "enhanced.dcm"]
    name = names[int(rng.choice(5, p=(0.6, 0.1, 0.1, 0.1, 0.1)))]
    root = sources[0].parent.parent
    files = sorted((root / name).iterdir()) if name == "series" else [root / name]
    changed = []
    share = rng.random()
    for file in files:
        dataset = pydicom.dcmread(file)
        if rng.random() <= share or file == files[0]:
            keyword = list(_LIES)[int(rng.integers(len(_LIES)))]
            with pydicom.config.disable_value_validation():
                if rng.random() < 0.25 and dataset.get(keyword) is not None and dataset[keyword].VR in ("DS", "IS"):
                    value = _TEXTS[int(rng.integers(len(_TEXTS)))]
                    content = bytes(value, "ascii") + b" " * (len(value) % 2)
                    dataset._dict[dataset[keyword].tag] = pydicom.dataelem.RawDataElement(
                        dataset[keyword].tag, dataset[keyword].VR, len(content), content, 0, False, True
                    )
                else:
                    value = _LIES[keyword][int(rng.integers(len(_LIES[keyword])))]
                    vr = "US" if keyword == "PixelPaddingValue" else pydicom.datadict.dictionary_VR(keyword)
                    dataset[keyword] = pydicom.DataElement(keyword, vr, _as_written(value, vr))
            changed.append(f"{keyword}={value!r}")
        with pydicom.config.disable_value_validation():
            pydicom.dcmwrite(folder / file.name, dataset, enforce_file_format=False)
    return f"{name}: {', '.join(changed)}", folder


def _as_written(value: object, vr: str) -> object:
    if vr == "DS":
        return [f"{one:.8g}" for one in value] if isinstance(value, list) else f"{value:.8g}"
    return value


def _nifti(sources: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    """NIfTI header fields that lie, in a plain or a compressed file."""
    content = bytearray((sources[0].parent.parent / "scan.nii").read_bytes())
    offset, kind, values = (
        (
            40,
            "<8h",
            (
                (3, 30000, 30000, 30000, 1, 1, 1, 1),
                (3, -1, 5, 5, 1, 1, 1, 1),
                (7, 2, 2, 2, 2, 2, 2, 2),
                (3, 0, 0, 0, 0, 0, 0, 0),
                (3, 512, 512, 600, 1, 1, 1, 1),
                (3, 512, 512, 500, 1, 1, 1, 1),
            ),
        ),
        (70, "<h", ((0,), (1,), (64,), (128,), (1792,), (2048,), (32000,))),
        (72, "<h", ((0,), (1,), (32000,))),
        (76, "<8f", ((1, 0, 0, 0, 0, 0, 0, 0), (np.nan,) * 8, (-7, 1e30, 1e-30, 1, 1, 1, 1, 1))),
        (108, "<f", ((0,), (-1,), (np.nan,), (1e9,), (1e30,), (353,))),
        (112, "<2f", ((np.nan, np.nan), (0, 0), (1e38, 1e38), (np.inf, 0))),
        (252, "<2h", ((0, 0), (1, 0), (-1, -1), (32000, 32000))),
        (280, "<12f", ((np.nan,) * 12, (0,) * 12, (1e30,) * 12, (1e-30,) * 12, (1, 0, 0, 0) * 3)),
    )[int(rng.integers(8))]
    lie = values[int(rng.integers(len(values)))]
    struct.pack_into(kind, content, offset, *lie)
    packed = bool(rng.random() < 0.5)
    if packed and rng.random() < 0.3:
        content += bytes(300 * 1024**2)  # inflates far beyond what the header says
    path = folder / ("scan.nii.gz" if packed else "scan.nii")
    path.write_bytes(gzip.compress(bytes(content), 1) if packed else bytes(content))
    return f"nifti byte {offset} {lie} {path.name}", path


def _npy(_: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    shapes = ("(5, 40, 36)", "(1000000, 1000000)", "(-1, 5, 5)", "(" + "9" * 400 + ",)", "()", "(0,)", "5", "(2,) * 9")
    kinds = ("'<i2'", "'|O'", "'<f2'", "'<c16'", "'<U9'", "[('a', '<i2')]", "'<i2', 'x': 1", "'" + "<" * 5000 + "'")
    shape, kind = shapes[int(rng.integers(8))], kinds[int(rng.integers(8))]
    head = f"{{'descr': {kind}, 'fortran_order': {('False', 'True', 'None')[int(rng.integers(3))]}, 'shape': {shape}}}"
    if rng.random() < 0.2:
        head = ("(" * 3000, "__import__('os').abort()", "{'descr':", "\0" * 60)[int(rng.integers(4))]
    version = (b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x00")[int(rng.choice(4, p=(0.7, 0.1, 0.1, 0.1)))]
    length = struct.pack("<H", len(head) % 65536) if version == b"\x01\x00" else struct.pack("<I", len(head))
    content = b"\x93NUMPY" + version + length + head.encode("latin-1") + head_hu(5).tobytes()
    if rng.random() < 0.4:
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(("image.npy", "../image.npy", "a/b.npy")[int(rng.integers(3))], content)
        content, name = stream.getvalue(), "a.npz"
    else:
        name = "a.npy"
    (folder / name).write_bytes(content)
    return f"npy {head[:60]} {name}", folder / name


def _archive(sources: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    path = folder / "a.zip"
    good = sources[0].read_bytes()
    trick = ("bomb", "traversal", "nested", "link", "encrypted", "lying size", "many", "same name", "quine", "stored")[
        int(rng.integers(10))
    ]
    compression = zipfile.ZIP_STORED if trick == "stored" else zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("DICOM/good", good)
        if trick == "bomb":
            start = bytearray(good)
            for number in range(int(rng.integers(1, 9))):
                archive.writestr(f"DICOM/{number}", bytes(start) + bytes(int(rng.choice((10**7, 6 * 10**7)))))
        elif trick == "traversal":
            archive.writestr(("../../x", "/x", "a/../../x", "C:\\x", "..\\x")[int(rng.integers(5))], good)
        elif trick == "nested":
            inner = io.BytesIO()
            with zipfile.ZipFile(inner, "w") as deeper:
                deeper.writestr("a", good)
            archive.writestr("inner.zip", inner.getvalue())
        elif trick == "link":
            link = zipfile.ZipInfo("DICOM/link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/dev/zero")
        elif trick == "many":
            for number in range(21_000):
                archive.writestr(f"{number}", b"")
        elif trick == "same name":
            archive.writestr("DICOM/other", good)
    content = bytearray(path.read_bytes())
    central = content.rindex(b"PK\x01\x02")
    if trick == "encrypted":
        content[central + 8] |= 1
    elif trick == "lying size":
        content[central + 20 : central + 28] = rng.bytes(8)
    elif trick == "same name":
        content = bytearray(content.replace(b"DICOM/other", b"DICOM/good\0"))
    elif trick == "quine":
        content[central + 42 : central + 46] = struct.pack("<I", int(rng.integers(len(content))))
    path.write_bytes(content)
    return f"zip {trick}", path


def _odd_folder(sources: list[Path], folder: Path, rng: Rng) -> tuple[str, Path]:
    good = sorted(sources[0].parent.iterdir())
    trick = ("empty", "empty files", "link circle", "broken links", "pipe", "device", "mixed", "text")[
        int(rng.integers(8))
    ]
    (folder / "sub" / "deep").mkdir(parents=True)
    if trick == "empty files":
        for number in range(5):
            (folder / f"{number}.dcm").write_bytes(b"")
    elif trick == "link circle":
        (folder / "sub" / "circle").symlink_to(folder, target_is_directory=True)
        shutil.copy(good[0], folder / "sub" / "deep" / "one")
    elif trick == "broken links":
        (folder / "one.dcm").symlink_to(folder / "nowhere")
        (folder / "self.dcm").symlink_to(folder / "self.dcm")
    elif trick == "pipe":
        os.mkfifo(folder / "one.dcm")
        shutil.copy(good[0], folder / "two.dcm")
    elif trick == "device":
        (folder / "one.dcm").symlink_to("/dev/zero")
        return trick, folder / "one.dcm"
    elif trick == "mixed":
        for source in sources:
            shutil.copy(source, folder / "sub" / source.name)
    elif trick == "text":
        (folder / "notes.txt").write_text("nothing")
    return f"folder {trick}", folder

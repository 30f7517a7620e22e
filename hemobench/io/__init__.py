"""Files to Volumes and back. Readers bring scans to orientation S-P-L; writers put them into the source's own space."""

from hemobench.io.reading import read_scan
from hemobench.io.scan import DicomSource, GridSource, Scan, SeriesOffer, SourceSlice, Space

__all__ = ["DicomSource", "GridSource", "Scan", "SeriesOffer", "SourceSlice", "Space", "read_scan"]

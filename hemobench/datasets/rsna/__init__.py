"""RSNA 2019: DICOM slices, their headers and index."""

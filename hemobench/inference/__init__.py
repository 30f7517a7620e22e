"""From a checkpoint and a scan to a report: engines, sliding windows, grids, the study pipeline."""

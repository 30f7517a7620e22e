"""From a scan to a report: checkpoints, engines, and the study pipeline."""

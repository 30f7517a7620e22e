"""Boards of what exists: shared checkpoints and other tools' answers, ranked on the same cases of one data set."""

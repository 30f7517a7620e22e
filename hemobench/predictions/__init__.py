"""Answers that other tools left in a folder, as they write them: masks and tables, matched to a data set's cases."""

"""overview.png: one page that shows a report to a reader."""

from hemobench.inference.overview.page import PAGE_WIDTH, draw_overview, write_overview

__all__ = ["PAGE_WIDTH", "draw_overview", "write_overview"]

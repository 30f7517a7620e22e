"""The Space's entry: `python app.py` serves the demo."""

from __future__ import annotations

from demo.app import launch

if __name__ == "__main__":
    launch()

"""How a network sees a scan, and the way back: windows, views, grids, sliding windows."""

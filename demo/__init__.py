"""The browser demo: wiring, tabs, viewer component, texts and examples. It imports hemobench, never the reverse."""

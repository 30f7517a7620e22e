"""The viewer: one component that shows a scan with everything that was found in it, drawn in the browser."""

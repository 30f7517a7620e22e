"""Files to Volumes and back. Readers bring scans to orientation S-P-L; writers put them into the source's own space."""

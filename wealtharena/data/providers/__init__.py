"""Sources of bars, one file each, found by name."""

"""Learning from remembered or recorded steps: replay, updates, recordings."""

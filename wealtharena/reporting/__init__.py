"""Plots, the report and the leaderboard: what a person looks at."""

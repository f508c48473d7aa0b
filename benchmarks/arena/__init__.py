"""The arena: every algorithm that ships, and a user's own policy, on planted and on recorded markets, on one board.

`courses` says where is played, `entries` who plays, `play` plays one cell (a course, an entrant, a seed), `board` makes
figures of many cells and `page` shows them. `python -m benchmarks.arena` is the command.
"""

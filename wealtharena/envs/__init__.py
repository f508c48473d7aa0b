"""The market kernel: accounting, costs, rewards, and its Gymnasium faces."""

"""Search over configurations with Ray Tune and Optuna, scored on validation data only."""

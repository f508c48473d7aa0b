"""Splits, backtest, measures, significance, verdict: what makes a number believable."""

"""Reinforcement-learning trading agents: trained, tested once on held-out data, judged honestly."""

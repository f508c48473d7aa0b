"""Learning from the latest rollout: our batched PPO, and RLlib's asynchronous algorithms over our environment."""

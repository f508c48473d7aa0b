"""What every test relies on: one numerical thread, no keys of the person who runs them, no tracking online."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ["WANDB_MODE"] = "offline"
os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
for name in ("WANDB_API_KEY", "FRED_API_KEY", "ALPHAVANTAGE_API_KEY", "APCA_API_KEY_ID", "APCA_API_SECRET_KEY"):
    os.environ.pop(name, None)

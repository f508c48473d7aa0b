"""Risk rules, one file each, found by the name of their block in conf/risk."""

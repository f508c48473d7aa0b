"""Algorithms, one file each and nothing else: `conf/algo/<name>.yaml` names the file."""

"""Turn pip's report of an installation into a list of packages with the hashes of their files."""

import json
import sys
from pathlib import Path

lines = ["# made by `make lock`, for this platform; remove it to install by version alone"]
for item in json.loads(Path(sys.argv[1]).read_text())["install"]:
    about, digest = item["metadata"], item["download_info"]["archive_info"]["hashes"]["sha256"]
    lines.append(f"{about['name']}=={about['version'].partition('+')[0]} --hash=sha256:{digest}")
sys.stdout.write("\n".join(lines) + "\n")

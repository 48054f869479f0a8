"""Nothing here is a test: `make bench` runs these files, and they import each other by name."""

collect_ignore_glob = ["*.py"]

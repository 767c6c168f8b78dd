"""Where the project's own data lie, and where it keeps what it makes or downloads."""

from pathlib import Path

# A checkout's folder; what is installed elsewhere has none of its files beside it.
PROJECT_DIR = Path(__file__).resolve().parents[3]
# Where data lies that no dataset.root names: downloaded or generated here, never committed.
CACHE_ROOT = PROJECT_DIR / ".cache"

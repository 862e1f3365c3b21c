"""One reader of the environment, and HTTP clients behind their seams."""

import re

from tests.architecture.sources import PACKAGES, ROOT, tracked

READS_ENVIRONMENT = re.compile(r"\bos\.environ\b|\bos\.getenv\b|\bgetenv\(")
READERS = {
    "platform_api/settings.py",
    "studio/settings.py",  # a process of its own that may import none of our packages
    "platform_api/cli/main.py",  # hands the environment to settings
    "flows/prefect_server.py",  # passes the environment on to the child it starts
}


def test_only_settings_read_the_environment() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for path in tracked(".py")
        if path.relative_to(ROOT).parts[0] in PACKAGES and READS_ENVIRONMENT.search(path.read_text(encoding="utf-8"))
    }

    assert readers - READERS == set()

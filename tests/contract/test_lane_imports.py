"""What loading the inline lane must not cost."""

import subprocess
import sys


def test_the_inline_lane_loads_without_prefect() -> None:
    program = "import sys, flows.inline_lane, flows.run_memory; print('prefect' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert done.stdout.strip() == "False"

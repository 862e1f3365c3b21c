"""Every benchmark in turn: each file of this folder with a `main`. Exits 1 when any of them missed a goal.

python -m benchmarks
"""

import sys
from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run them in the order of their names."""
    missed: list[str] = []
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        main_of = getattr(import_module(f"benchmarks.{path.stem}"), "main", None)
        if main_of is None:
            continue
        print(f"== {path.stem}", flush=True)
        try:
            code = main_of()
        except SystemExit as end:
            code = end.code
        if code not in (None, 0):
            print(code if isinstance(code, str) else f"{path.stem} missed a goal", flush=True)
            missed.append(path.stem)
    if missed:
        sys.exit(f"missed: {', '.join(missed)}")


if __name__ == "__main__":
    main()

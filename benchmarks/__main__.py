"""Every benchmark in turn: each file of this folder with a `main`.

python -m benchmarks
"""

from importlib import import_module
from pathlib import Path


def main() -> None:
    """Run them in the order of their names."""
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        main_of = getattr(import_module(f"benchmarks.{path.stem}"), "main", None)
        if main_of is not None:
            print(f"== {path.stem}")
            main_of()


if __name__ == "__main__":
    main()

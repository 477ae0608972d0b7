"""`python docs/make_figures.py`: renews docs/accuracy.md and docs/results.md after a new bundle or new runs.

The figures come from docs/results.jsonl and from the manifests in models/.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def main() -> None:
    """Rewrite both pages."""
    sys.path.insert(0, str(ROOT))
    from bundle.store import Store
    from training.reports.figures import list_measured, renew_table
    from training.reports.report import write_report
    from training.reports.results import Results

    results = Results(ROOT / "docs" / "results.jsonl")
    measured, problems = list_measured(Store(ROOT / "models"))
    if problems:
        sys.exit(f"error: {'; '.join(problems)}")
    write_report(results, ROOT / "docs" / "results.md", measured)
    page = ROOT / "docs" / "accuracy.md"
    page.write_text(renew_table(page.read_text(encoding="utf-8"), results, measured), encoding="utf-8")


if __name__ == "__main__":
    main()

import subprocess
import sys
from pathlib import Path

import bundle


def test_it_imports_no_framework_and_no_other_package_of_the_project() -> None:
    modules = sorted(f"bundle.{path.stem}" for path in Path(bundle.__file__).parent.glob("[a-z]*.py"))
    script = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    root = Path(bundle.__file__).parents[1]
    output = subprocess.run([sys.executable, "-c", script], cwd=root, check=True, capture_output=True, text=True).stdout
    loaded = {name.partition(".")[0] for name in output.split()}
    assert "bundle" in loaded
    assert not loaded & {"tensorflow", "keras", "fastapi", "training", "app"}

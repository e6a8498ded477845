"""A short run of tools/fuzz_files.py: damaged files of every kind, and never anything but a result or a sentence."""
import subprocess, sys

import pytest

pytestmark = pytest.mark.slow

@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no alarm and no limits")
def test_damaged_files(root):
    command = [sys.executable, root/"tools"/"fuzz_files.py", "--cases", "150", "--seed", "7"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=root)
    assert run.returncode == 0, run.stdout[-3000:]

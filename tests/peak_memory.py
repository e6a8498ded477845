"""Code in a fresh process, and the memory that it needed."""
import subprocess, sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

PEAK = """
import pathlib, resource, sys
status = pathlib.Path("/proc/self/status") # Linux: getrusage would count the process that started this one
lines = status.read_text().splitlines() if status.exists() else []
peak = [int(line.split()[1])*1024 for line in lines if line.startswith("VmHWM")]
print((peak or [resource.getrusage(resource.RUSAGE_SELF).ru_maxrss])[0]/1e6)
"""

def in_process(code, *arguments, forks=None):
    "What `code` prints in a fresh process, or in one of `forks`, and that process's peak memory in megabytes."
    words = "-c", code + PEAK, *map(str, arguments)
    if forks: run = forks.run(*words, timeout=900)
    else: run = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    *said, peak = run.stdout.splitlines()
    return said, float(peak)

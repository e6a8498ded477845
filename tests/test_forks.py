"""Programs in forks end and print as new processes do, and do not know each other."""
import os, signal, subprocess, sys, time

import pytest

import forks

pytestmark = pytest.mark.skipif(not forks.CAN_FORK, reason="no forks here")
CODES = {"pass": 0, "raise SystemExit": 0, "raise SystemExit(3)": 3, "import sys; sys.exit('a sentence')": 1, "1/0": 1,
         "import os; os.kill(os.getpid(), 9)": -9, "print('out'); raise ValueError('no')": 1}

@pytest.fixture(scope="module")
def programs():
    started = forks.Forks("json")
    yield started
    started.close()

@pytest.mark.parametrize("code", CODES)
def test_exit_codes_and_output_are_those_of_a_new_process(programs, code):
    run = programs.run("-c", code)
    new = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == new.returncode == CODES[code] and run.stdout == new.stdout
    assert run.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]

def test_a_program_leaves_nothing_to_the_next(programs):
    assert programs.run("-c", "import os, sys, json; json.left = os.environ['LEFT'] = sys.left = 'x'").returncode == 0
    code = "import os, sys, json; print(hasattr(json, 'left'), 'LEFT' in os.environ, hasattr(sys, 'left'), sys.argv)"
    assert programs.run("-c", code, 1, "two").stdout == "False False False ['-c', '1', 'two']\n"

def test_a_file_is_run_as_a_program_to_its_end(programs, tmp_path):
    program = tmp_path/"program.py"
    program.write_text("""import atexit, helper, sys, threading, time
def slowly(): time.sleep(0.2); print("thread")
atexit.register(print, "end")
if __name__ == "__main__":
    threading.Thread(target=slowly).start()
    print(helper.NAME, sys.argv[1:], repr(sys.stdin.read()))
""")
    (tmp_path/"helper.py").write_text("NAME = 'helper'")
    assert programs.run(program, "a").stdout.splitlines() == ["helper ['a'] ''", "thread", "end"]

def test_what_takes_too_long_is_killed_and_the_next_works(programs):
    with pytest.raises(subprocess.TimeoutExpired): programs.run("-c", "import time; time.sleep(60)", timeout=0.5)
    assert programs.run("-c", "print(1)").stdout == "1\n"

def test_one_that_runs_is_watched_and_stopped(programs):
    waits = "import time\nprint('here', flush=True)\ntry: time.sleep(60)\nexcept KeyboardInterrupt: print('stopped')"
    first, second = (programs.start("-c", waits) for _ in range(2))
    while any(os.path.getsize(program.said[0].name) == 0 for program in (first, second)): time.sleep(0.01)
    assert first.poll() is None
    first.send_signal(signal.SIGINT); second.send_signal(signal.SIGKILL)
    assert first.communicate() == ["here\nstopped\n", ""] and first.returncode == 0
    assert second.communicate()[0] == "here\n" and second.returncode == -signal.SIGKILL

def test_nothing_runs_on_after_the_end():
    started = forks.Forks("json")
    program = started.start("-c", "import time; time.sleep(60)")
    started.close()
    with pytest.raises(ProcessLookupError): os.kill(program.pid, 0)

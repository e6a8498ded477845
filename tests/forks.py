"""Python programs in forks of a process that has imported slow libraries once.

`Forks("torch").run("-c", "print(1)")` does what `subprocess.run([sys.executable, "-c", "print(1)"])` does, without
importing torch again. Each program has a process, a namespace and modules of its own, and nothing of pienet_nb is
imported before the fork. Where there is no fork, on Windows, it is a new process.
"""
import atexit, gc, importlib, json, os, runpy, signal, subprocess, sys, tempfile, threading, time, traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CAN_FORK = sys.platform == "linux" # Apple's libraries do not survive it

class Forks:
    "Runs programs one after the other; the process that they are forks of begins with the first."
    def __init__(self,
        *modules:str, # what is imported before the forks
    ): self.modules, self.server = modules, None

    def run(self,
        *argv:str, # a Python file, a console script too, and its arguments; or `-c` and code
        cwd:Path=ROOT, # the folder in which it runs
        timeout:float=300, # seconds; then it is killed, with all it started
    )->subprocess.CompletedProcess: # what it printed, errors too, is `stdout`
        argv = [*map(str, argv)]
        if not CAN_FORK:
            python = [sys.executable] if argv[0] == "-c" or argv[0].endswith(".py") else []
            return subprocess.run([*python, *argv], cwd=cwd, timeout=timeout, text=True, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        with tempfile.NamedTemporaryFile("r", errors="replace") as said:
            code = self._ask(argv, str(cwd), said.name, timeout)
            if code is None: raise subprocess.TimeoutExpired(argv, timeout, said.read())
            return subprocess.CompletedProcess(argv, code, said.read())

    def _ask(self, *request):
        "The exit code of a program, from the server."
        if self.server is None:
            self.server = subprocess.Popen([sys.executable, __file__, *self.modules], cwd=ROOT, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(json.dumps(request), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def close(self):
        if self.server: self.server.kill(); self.server.communicate()

# ---- the server

def serve(modules):
    "For each line of stdin, a request: a program runs in a fork, and its exit code is a line of stdout."
    for module in modules: importlib.import_module(module)
    gc.freeze() # the forks' collections leave alone, and so need not copy, what was imported here
    for line in sys.stdin:
        argv, cwd, said, timeout = json.loads(line)
        child = os.fork()
        if child == 0: become(argv, cwd, said)
        print(json.dumps(exit_code(child, timeout)), flush=True)

def become(argv, cwd, said):
    "In the fork: be the program, with its output in the file `said`; then end without taking torch to pieces."
    os.setsid(); os.chdir(cwd)
    with open(os.devnull) as nothing, open(said, "a") as file:
        for opened, number in (nothing, 0), (file, 1), (file, 2): os.dup2(opened.fileno(), number)
    code = 1
    try: code = run_python(argv)
    except BaseException: traceback.print_exc()
    threading._shutdown(); atexit._run_exitfuncs() # as Python does in the end
    sys.stdout.flush(); sys.stderr.flush()
    os._exit(code)

def run_python(argv):
    "What `python` does with these arguments; gives the exit code."
    sys.argv = argv
    try:
        if argv[0] == "-c":
            sys.path[0], sys.argv = "", ["-c", *argv[2:]]
            exec(compile(argv[1], "<string>", "exec"), {"__name__": "__main__"})
        else:
            sys.path[0] = str(Path(argv[0]).parent)
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str): print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0

def exit_code(child, timeout):
    "That of a process, negative after a signal; None if it took more than `timeout` seconds and was killed."
    end = time.monotonic() + timeout
    try:
        while time.monotonic() < end:
            done, status = os.waitpid(child, os.WNOHANG)
            if done: return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
    except KeyboardInterrupt: pass
    os.killpg(child, signal.SIGKILL); os.waitpid(child, 0)

if __name__ == "__main__": serve(sys.argv[1:])

"""Python programs in forks of a process that has imported slow libraries once.

`Forks("torch").run("-c", "print(1)")` does what `subprocess.run([sys.executable, "-c", "print(1)"])` does, without
importing torch again. Each program has a process, a namespace and modules of its own, and nothing of pienet_nb is
imported before the fork. Where there is no fork it is a new process.
"""
import atexit, gc, importlib, json, os, runpy, signal, subprocess, sys, tempfile, threading, time, traceback, types
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CAN_FORK = sys.platform == "linux" # Windows has none, and Apple's libraries do not survive it

class Forks:
    "Starts programs; the process that they are forks of begins with the first."
    def __init__(self,
        *modules:str, # what is imported before the forks
    ): self.modules, self.server = modules, None

    def start(self,
        *argv:str, # a Python file, a console script too, and its arguments; or `-c` and code
        cwd:Path=ROOT, # the folder in which it runs
    ): # a `Program`, or a `subprocess.Popen`
        argv = [*map(str, argv)]
        if CAN_FORK: return Program(self.ask, argv, cwd)
        python = [sys.executable] if argv[0] == "-c" or argv[0].endswith(".py") else []
        return subprocess.Popen([*python, *argv], cwd=cwd, text=True, stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def run(self,
        *argv:str, # as for `start`
        cwd:Path=ROOT, # the folder in which it runs
        timeout:float=300, # seconds; then it is killed, with all it started
    )->subprocess.CompletedProcess:
        program = self.start(*argv, cwd=cwd)
        try: said = program.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            program.kill()
            raise
        return subprocess.CompletedProcess(argv, program.returncode, *said)

    def ask(self, *request):
        "The server's answer."
        if self.server is None:
            self.server = subprocess.Popen([sys.executable, __file__, *self.modules], cwd=ROOT, text=True,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(json.dumps(request), file=self.server.stdin, flush=True)
        return json.loads(self.server.stdout.readline())

    def close(self):
        if self.server: self.server.communicate()

class Program:
    "A fork, with those methods of `subprocess.Popen` that tests use."
    def __init__(self, ask, argv, cwd):
        self.ask, self.args, self.returncode = ask, argv, None
        self.said = [tempfile.NamedTemporaryFile("r", encoding="utf-8", errors="replace") for _ in range(2)]
        self.pid = ask("start", argv, str(cwd), [file.name for file in self.said])

    def poll(self):
        if self.returncode is None: self.returncode = self.ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout=float("inf")):
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end: raise subprocess.TimeoutExpired(self.args, timeout)
            time.sleep(0.02)
        return self.returncode

    def communicate(self, timeout=float("inf")):
        self.wait(timeout)
        return [file.read() for file in self.said]

    def send_signal(self, number):
        if self.poll() is None: os.kill(self.pid, number)

    def kill(self):
        if self.poll() is None: end(self.pid)
        self.wait()

def end(pid):
    "Kill a process and all it started."
    for kill in os.killpg, os.kill:
        with suppress(ProcessLookupError): kill(pid, signal.SIGKILL)

# ---- the server

def serve(modules):
    "Answer requests, a line of stdin each, with a line of stdout; at their end kill what still runs."
    for module in modules: importlib.import_module(module)
    gc.freeze() # the forks' collections leave alone, and so need not copy, what was imported here
    signal.signal(signal.SIGINT, signal.SIG_IGN) # the end of stdin ends it
    running = set()
    for line in sys.stdin:
        what, *request = json.loads(line)
        if what == "start": running.add(answer := start(*request))
        else:
            answer = exit_code(*request)
            if answer is not None: running.discard(*request)
        print(json.dumps(answer), flush=True)
    for pid in running: end(pid); os.waitpid(pid, 0)
    os._exit(0)

def start(argv, cwd, said):
    "The process number of a fork that runs a program."
    child = os.fork()
    if child == 0: become(argv, cwd, said)
    return child

def exit_code(child):
    "That of a process, negative after a signal; None as long as it runs."
    done, status = os.waitpid(child, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None

def become(argv, cwd, said):
    "In the fork: be the program, with its output in the two files `said`; then end without taking torch to pieces."
    os.setsid(); os.chdir(cwd)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name, mode, number in (os.devnull, "r", 0), (said[0], "a", 1), (said[1], "a", 2):
        with open(name, mode) as file: os.dup2(file.fileno(), number)
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
            main = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(compile(argv[1], "<string>", "exec"), main.__dict__)
        else:
            sys.path[0] = str(Path(argv[0]).parent)
            runpy.run_path(argv[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str): print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0

if __name__ == "__main__": serve(sys.argv[1:])

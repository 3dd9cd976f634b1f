"""The child of the code interpreter: runs what it is sent, one run after the other, in one namespace.

Reads requests from its standard input and writes answers to its standard output, a JSON object a
line each. The code itself has neither: its input is empty, and what it prints is captured. It runs
in the same process and can break all this; that ends its own session and nothing else, since whoever
reads the answers trusts none of them.
"""

import ast
import base64
import builtins
import importlib.abc
import importlib.machinery
import json
import linecache
import os
import re
import signal
import sys
import tempfile
import threading
import traceback
import types
import zlib

# What is kept of the output of a run: its beginning and its end.
HEAD_BYTES = 32 * 1024
TAIL_BYTES = 16 * 1024
# What is kept of a traceback: its end, which names the error.
ERROR_CHARS = 8 * 1024
# How long the last output may take to come through the pipe.
DRAIN_S = 2.0
# Files looked at after a run.
ENTRIES_MAX = 2000

FILES_MAX = int(sys.argv[1])
FILE_BYTES_MAX = int(sys.argv[2])
PLOTS = "outcrop_plots"


class TimeLimit(BaseException):
    """Raised in the code when its time is up. No Exception, so that few handlers swallow it."""


class Capture:
    """Takes what is written to the standard output and error, also by libraries and children."""

    def __init__(self):
        self.reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.close(writer)
        self.lock = threading.Lock()
        self.marker = b"\0" + os.urandom(16) + b"\0"
        self.seen = threading.Event()
        self.rest = b""
        self.start()
        threading.Thread(target=self.pump, daemon=True).start()

    def start(self):
        with self.lock:
            self.head, self.tail, self.dropped = bytearray(), bytearray(), 0
            self.seen.clear()

    def pump(self):
        while data := os.read(self.reader, 65536):
            with self.lock:
                self.feed(data)

    def feed(self, data):
        data = self.rest + data
        before, found, after = data.partition(self.marker)
        if found:
            self.keep(before)
            self.rest = after
            self.seen.set()
            return
        # The marker may come in pieces.
        cut = max(len(data) - len(self.marker) + 1, 0)
        self.keep(data[:cut])
        self.rest = data[cut:]

    def keep(self, data):
        room = HEAD_BYTES - len(self.head)
        self.head += data[:room]
        self.tail += data[room:] if room > 0 else data
        over = len(self.tail) - TAIL_BYTES
        if over > 0:
            self.dropped += over
            del self.tail[:over]

    def finish(self):
        """The output of the run, once all of it has come."""
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        try:
            os.write(1, self.marker)
            self.seen.wait(DRAIN_S)
        except OSError:
            pass
        with self.lock:
            middle = b"\n[... %d bytes left out ...]\n" % self.dropped if self.dropped else b""
            return (bytes(self.head) + middle + bytes(self.tail)).decode("utf-8", "replace")


class Plots(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Matplotlib's backend: draws in memory, and saves what is shown as files."""

    def __init__(self, folder):
        self.folder = folder

    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self) if name == PLOTS else None

    def create_module(self, spec):
        return None

    def exec_module(self, module):
        from matplotlib.backends import backend_agg
        from matplotlib.figure import Figure

        save = Figure.savefig

        def savefig(figure, *arguments, **options):
            save(figure, *arguments, **options)
            figure._outcrop_saved = True

        Figure.savefig = savefig
        module.FigureCanvas = backend_agg.FigureCanvasAgg
        module.FigureManager = backend_agg.FigureCanvasAgg.manager_class
        module.show = self.show

    def show(self, *arguments, **options):
        from matplotlib import pyplot

        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            # One that the code has saved itself is a file already.
            if not getattr(figure, "_outcrop_saved", False):
                figure.savefig(self.free_name(), bbox_inches="tight")
            pyplot.close(figure)

    def free_name(self):
        number = 1
        while os.path.exists(path := os.path.join(self.folder, f"plot_{number}.png")):
            number += 1
        return path


def regular_files(folder):
    """The files below `folder`, by their names there."""
    found = {}
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__pycache__")))
        for name in sorted(names):
            if len(found) >= ENTRIES_MAX:
                return found
            path = os.path.join(place, name)
            if name.startswith(".") or os.path.islink(path) or not os.path.isfile(path):
                continue
            status = os.stat(path)
            found[os.path.relpath(path, folder)] = (status.st_mtime_ns, status.st_size)
    return found


def changed_files(folder, before):
    """New and changed files, and why some of them stay here."""
    files, withheld = [], []
    now = regular_files(folder)
    names = [name for name, state in now.items() if before.get(name) != state]
    for name in sorted(names, key=lambda name: now[name]):
        size = now[name][1]
        if size > FILE_BYTES_MAX:
            withheld.append(f"{name} ({size} bytes) is larger than {FILE_BYTES_MAX} bytes")
        elif len(files) == FILES_MAX:
            withheld.append(f"{name}: only {FILES_MAX} files are given after one run")
        else:
            with open(os.path.join(folder, name), "rb") as file:
                data = file.read(FILE_BYTES_MAX)
            files.append({"name": name, "data": base64.b64encode(data).decode()})
    return files, withheld


class Session:
    def __init__(self):
        self.folder = os.path.join(os.path.realpath(tempfile.gettempdir()), "session")
        os.makedirs(self.folder, exist_ok=True)
        os.chdir(self.folder)
        sys.path.insert(0, self.folder)
        sys.meta_path.insert(0, Plots(self.folder))
        main = types.ModuleType("__main__")
        main.__dict__["__builtins__"] = builtins
        sys.modules["__main__"] = main
        self.names = main.__dict__
        self.runs = 0

    def handle(self, request, capture):
        for file in request["files"]:
            with open(os.path.join(self.folder, file["name"]), "wb") as out:
                out.write(base64.b64decode(file["data"]))
        before = regular_files(self.folder)
        capture.start()
        error, timed_out = self.run(request["code"], request["limit_s"])
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        output = capture.finish().replace(self.folder, "$BASE_PATH$")
        files, withheld = changed_files(self.folder, before)
        if error is not None:
            error = error.replace(self.folder, "$BASE_PATH$")[-ERROR_CHARS:]
        return {
            "output": output,
            "error": error,
            "timed_out": timed_out,
            "files": files,
            "withheld": withheld,
        }

    def run(self, code, limit_s):
        """Runs the code; gives what went wrong, and whether that was the time."""

        def stop(*_):
            raise TimeLimit

        signal.signal(signal.SIGALRM, stop)
        try:
            # Again and again, for code that swallows the first.
            signal.setitimer(signal.ITIMER_REAL, limit_s, 1.0)
            try:
                self.execute(code)
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
        except TimeLimit:
            signal.setitimer(signal.ITIMER_REAL, 0)
            return f"The code was stopped after {limit_s:g} seconds, the time one run may take.", True
        except BaseException as error:
            return self.described(error), False
        return None, False

    def execute(self, code):
        self.runs += 1
        source = code.replace("$BASE_PATH$", self.folder)
        # The one magic that models write out of habit.
        source = re.sub(r"(?m)^[ \t]*%matplotlib\b.*$", "", source)
        name = f"<ipython-input-{self.runs}-{zlib.crc32(source.encode()):08x}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        tree = ast.parse(source, name)
        last = None
        if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
            last = ast.Expression(tree.body.pop().value)
        exec(compile(tree, name, "exec"), self.names)
        if last is not None:
            value = eval(compile(last, name, "eval"), self.names)
            if value is not None:
                self.names["_"] = value
                print(repr(value))

    def described(self, error):
        """The traceback without the frames of this file."""
        here = self.execute.__code__.co_filename
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == here:
            trace = trace.tb_next
        try:
            lines = traceback.TracebackException(type(error), error, trace).format()
            return "".join(lines).rstrip()
        except Exception:
            return type(error).__name__


def main():
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    capture = Capture()
    session = Session()
    for line in requests:
        answer = session.handle(json.loads(line), capture)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


main()

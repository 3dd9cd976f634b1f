"""Listens to the events that handlers get.

A handler under test is not changed: a module beside it takes its place, sends each event here, and then
calls it. An event is recorded before the handler runs.
"""

import json
import socketserver
import threading

MODULE = '''"""Sends each event to the test that listens, then hands it to the handler it stands for."""

import importlib
import json
import os
import socket

module, _, name = os.environ["RECORDED_HANDLER"].rpartition(".")
handler = getattr(importlib.import_module(module), name)


def record(event, context):
    with socket.create_connection(("127.0.0.1", int(os.environ["RECORDER_PORT"]))) as ear:
        ear.sendall(json.dumps([os.environ["AWS_LAMBDA_FUNCTION_NAME"], event]).encode() + b"\\n")
        ear.recv(1)
    return handler(event, context)
'''


class Recorder:
    """The events of every function that records to it, by function."""

    def __init__(self):
        self.events = {}
        recorder = self

        class Ear(socketserver.StreamRequestHandler):
            def handle(self):
                line = self.rfile.readline()
                if line:
                    function, event = json.loads(line)
                    recorder.events.setdefault(function, []).append(event)
                    self.wfile.write(b"+")

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Ear)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def install(self, folder, handler):
        """Puts the module into a function's folder; gives its handler and its environment."""
        (folder / "recorder.py").write_text(MODULE)
        return "recorder.record", {"RECORDED_HANDLER": handler, "RECORDER_PORT": str(self.port)}

    def take(self, function):
        """The events of a function since they were last taken."""
        return self.events.pop(function, [])

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

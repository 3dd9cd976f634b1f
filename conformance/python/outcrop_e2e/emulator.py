"""Stands for a container behind a Runtime Interface Emulator: a handler of this process, over HTTP."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATH = "/2015-03-31/functions/function/invocations"


class Emulator:
    """One handler on a free loopback port, which counts its calls."""

    def __init__(self, handler):
        self.calls = 0
        emulator = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self):
                assert self.path == PATH, self.path
                event = json.loads(self.rfile.read(int(self.headers["content-length"])))
                emulator.calls += 1
                error = None
                try:
                    reply = json.dumps(handler(event, None), ensure_ascii=False).encode()
                except Exception as raised:  # noqa: BLE001 - the emulator reports whatever a handler raises
                    error = {"errorMessage": str(raised), "errorType": type(raised).__name__, "stackTrace": []}
                    reply = json.dumps(error).encode()
                self.send_response(200)
                if error:
                    self.send_header("X-Amz-Function-Error", "Unhandled")
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(reply)))
                self.end_headers()
                self.wfile.write(reply)

            def log_message(self, *_args):
                """Keeps the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

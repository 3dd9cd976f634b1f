"""A small REST API of its own, which remembers what it was asked."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DOCUMENT = """
openapi: 3.0.0
info: {title: Weather, version: "1"}
paths:
  /cities/{city}/weather:
    get:
      operationId: readWeather
      description: Tells the weather of a city.
      parameters:
        - {name: city, in: path, required: true, description: The city., schema: {type: string}}
        - {name: days, in: query, required: false, description: How far ahead., schema: {type: integer}}
      responses:
        "200":
          description: The weather.
          content: {application/json: {schema: {type: object}}}
"""


class RestApi:
    """The API on a free loopback port; `seen` are the requests: (method, path with query, headers)."""

    def __init__(self):
        self.seen = []
        api = self

        class Door(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                api.seen.append((self.command, self.path, dict(self.headers)))
                body = json.dumps({"weather": "rain", "asked": self.path}).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args):
                """Keeps the test's output clean."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()

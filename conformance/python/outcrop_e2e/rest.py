"""A small REST API with OAuth 2.0 client credentials, in a thread of the test."""

import base64
import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CLIENT_ID = "outcrop"
CLIENT_SECRET = "s3cr:t/+"


class RestApi:
    """Orders behind `/v1`, tokens at `/token`. What came in is kept; answers can be set."""

    def __init__(self):
        self.requests = []
        self.tokens = 0
        self.refused = set()
        self.lifetime_s = 3600
        self.wants_token = False
        self.answers = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                status, headers, answer = api.answer(self.command, self.path, self.headers, body)
                self.send_response(status)
                for name, value in {"content-length": len(answer), **headers}.items():
                    self.send_header(name, str(value))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_DELETE = do

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self.server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()

    def reset(self):
        self.requests.clear()
        self.refused.clear()
        self.answers.clear()
        self.wants_token = False

    def answer(self, method, target, headers, body):
        """(status, headers, body) of one request."""
        if target == "/token":
            return self.token(headers, body)
        split = urllib.parse.urlsplit(target)
        self.requests.append({
            "method": method,
            "target": target,
            "query": urllib.parse.parse_qsl(split.query, keep_blank_values=True),
            "headers": {name.lower(): value for name, value in headers.items()},
            "body": body.decode(),
        })
        if self.wants_token:
            kind, _, token = headers.get("authorization", "").partition(" ")
            if kind != "Bearer" or not token or token in self.refused:
                return 401, {"www-authenticate": "Bearer"}, b""
        if split.path in self.answers:
            return self.answers[split.path]
        text = json.dumps({"path": split.path, "status": "shipped"}).encode()
        return 200, {"content-type": "application/json; charset=utf-8"}, text

    def token(self, headers, body):
        """The token endpoint."""
        kind, _, encoded = headers.get("authorization", "").partition(" ")
        given = base64.b64decode(encoded).decode().split(":") if kind == "Basic" else ["", ""]
        form = dict(urllib.parse.parse_qsl(body.decode()))
        if [urllib.parse.unquote_plus(part) for part in given] != [CLIENT_ID, CLIENT_SECRET]:
            text = {"error": "invalid_client", "error_description": f"bad secret {given[-1]}"}
            return 401, {"content-type": "application/json"}, json.dumps(text).encode()
        assert form["grant_type"] == "client_credentials"
        self.tokens += 1
        text = {"access_token": f"token-{self.tokens}", "token_type": "Bearer", "expires_in": self.lifetime_s}
        return 200, {"content-type": "application/json"}, json.dumps(text).encode()

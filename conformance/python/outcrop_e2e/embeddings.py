"""A server of embeddings over OpenAI's protocol, and of rerankers over Cohere's: texts with the same words are
near each other.

It runs in the tests' own process, so that a test can count calls, hold them, or let them fail.
"""

import base64
import hashlib
import json
import math
import re
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

DIMENSIONS = 256


def vector(text, dimensions=DIMENSIONS):
    """The words of a text, each at a place and with a sign of its own, at unit length."""
    made = [0.0] * dimensions
    for word in re.findall(r"[\w']+", text.lower()):
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        place, sign = struct.unpack("<Ii", digest)
        made[place % dimensions] += 1.0 if sign >= 0 else -1.0
    # A text without words has a vector too.
    made[0] += 1e-3
    length = math.sqrt(sum(value * value for value in made))
    return [value / length for value in made]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """Whoever asked was killed, which is what the tests are about."""


class Embeddings:
    """The server. `texts` has each text it was ever asked for; `hold()` keeps calls waiting."""

    def __init__(self):
        self.texts = []
        self.calls = 0
        self._open = threading.Event()
        self._open.set()
        self._seen = threading.Condition()
        # Texts that hold this are refused for good.
        self.refused = None
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                status, answer = owner.rerank(body) if self.path.endswith("/rerank") else owner.answer(body)
                data = json.dumps(answer).encode()
                try:
                    self.send_response(status)
                    self.send_header("content-type", "application/json")
                    self.send_header("content-length", str(len(data)))
                    self.end_headers()
                    self.wfile.write(data)
                except OSError:
                    # Whoever asked was killed.
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, body):
        texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
        with self._seen:
            self.calls += 1
            self.texts += texts
            self._seen.notify_all()
        self._open.wait(60)
        if self.refused and any(self.refused in text for text in texts):
            return 400, {"error": {"message": f"no text may hold {self.refused}", "type": "invalid_request_error"}}
        dimensions = body.get("dimensions") or DIMENSIONS
        made = [vector(text, dimensions) for text in texts]
        if body.get("encoding_format") == "base64":
            made = [base64.b64encode(struct.pack(f"<{dimensions}f", *values)).decode() for values in made]
        data = [{"object": "embedding", "index": index, "embedding": values} for index, values in enumerate(made)]
        tokens = sum(len(text.split()) for text in texts)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        return 200, {"object": "list", "model": body["model"], "data": data, "usage": usage}

    def rerank(self, body):
        """The order of documents by how many words they share with the question."""
        asked = vector(body["query"])
        scores = [
            max(0.0, sum(one * other for one, other in zip(asked, vector(text)))) for text in body["documents"]
        ]
        order = sorted(range(len(scores)), key=lambda place: -scores[place])[: body.get("top_n")]
        return 200, {"results": [{"index": place, "relevance_score": scores[place]} for place in order]}

    def reset(self):
        """Forgets what was asked, and lets everybody go."""
        self._open.set()
        with self._seen:
            self.texts = []
            self.calls = 0
        self.refused = None

    def hold(self):
        """From now on calls wait until `release`."""
        self._open.clear()

    def release(self):
        self._open.set()

    def wait(self, calls=1, timeout=20):
        """Waits until so many calls have arrived."""
        with self._seen:
            assert self._seen.wait_for(lambda: self.calls >= calls, timeout), f"only {self.calls} calls arrived"

    def stop(self):
        self._open.set()
        self.server.shutdown()
        self.server.server_close()

"""Writes event streams, for recordings of which only the events are left."""

import base64
import json
import struct
import zlib


def encoded(events):
    """The bytes of a response with these events."""
    return b"".join(frame(kind, wire(kind, payload)) for kind, payload in events)


def wire(kind, payload):
    """An event's payload as it was on the wire, where a notebook has printed it otherwise."""
    if kind == "chunk" and "bytes_decoded_from_log" in payload:
        payload = {name: value for name, value in payload.items() if name != "bytes_decoded_from_log"} | {
            "bytes": base64.b64encode(printed_once(payload["bytes_decoded_from_log"]).encode()).decode()
        }
    return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()


def printed_once(text):
    """A text that a notebook may have printed twice, the second time trimmed."""
    for end in range(len(text) // 2, len(text)):
        if text[:end].strip() and text[:end].strip() == text[end:].strip():
            return text[:end]
    return text


def frame(kind, payload):
    """One frame with the three headers of an event."""
    headers = b"".join(
        header(name, value)
        for name, value in (
            (":event-type", kind), (":content-type", "application/json"), (":message-type", "event"),
        )
    )
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", zlib.crc32(prelude)) + headers + payload
    return message + struct.pack("!I", zlib.crc32(message))


def header(name, value):
    """One header; strings have the type 7."""
    return bytes([len(name)]) + name.encode() + b"\x07" + struct.pack("!H", len(value)) + value.encode()

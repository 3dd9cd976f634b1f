"""Zip archives of functions."""

import base64
import hashlib
import io
import zipfile


def archive(files):
    """A zip archive of {name: text}; the same files give the same bytes."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as writer:
        for name, text in files.items():
            entry = zipfile.ZipInfo(name, (2025, 1, 1, 0, 0, 0))
            entry.external_attr = (0o755 if name == "bootstrap" else 0o644) << 16
            writer.writestr(entry, text)
    return packed.getvalue()


def folder(path):
    """A zip archive of the files of a folder."""
    return archive({str(file.relative_to(path)): file.read_text() for file in sorted(path.rglob("*.py"))})


def code_sha256(packed):
    """What Lambda calls `CodeSha256`."""
    return base64.b64encode(hashlib.sha256(packed).digest()).decode()

"""Finds Terraform and the AWS provider on this machine, and runs them.

Nothing is downloaded. One provider process serves every command of a run: the provider is a program of
700 MB, and each command would start it anew. Neither program sees the environment's AWS settings, and
whatever the provider wanted to call besides the server meets a closed port.
"""

import os
import re
import shutil
import subprocess
import threading
from pathlib import Path

# How long one command may take; with a provider that waits for a state that never comes, forever.
COMMAND_S = 300
# How long the provider may take to start.
START_S = 60
# The garbage collector of both programs runs less often: a fifth less processor time, for memory.
GARBAGE = "400"
# The discard port: closed, so that a call to the real AWS fails at once.
NOWHERE = "http://127.0.0.1:9"

# Attached to, the provider logs every step it takes unless told not to, subsystem by subsystem.
QUIET = {
    name: "ERROR"
    for name in (
        "TF_LOG", "TF_LOG_PROVIDER", "TF_LOG_SDK", "TF_LOG_SDK_FRAMEWORK", "TF_LOG_SDK_HELPER_SCHEMA",
        "TF_LOG_SDK_MUX", "TF_LOG_SDK_PROTO",
    )
}

PROVIDER = "terraform-provider-aws_v5*"
ADDRESS = "registry.terraform.io/hashicorp/aws"


def folders():
    """Where Terraform itself would look for providers, and where a machine usually keeps a mirror."""
    home = Path.home()
    named = [os.environ.get("OUTCROP_TERRAFORM_PLUGINS"), os.environ.get("TF_PLUGIN_CACHE_DIR")]
    for config in (os.environ.get("TF_CLI_CONFIG_FILE"), home / ".terraformrc"):
        if config and Path(config).is_file():
            text = Path(config).read_text(errors="replace")
            named += re.findall(r'(?:path|plugin_cache_dir|"hashicorp/aws")\s*=\s*"([^"]+)"', text)
    shared = Path(os.environ.get("XDG_DATA_HOME", home / ".local/share"))
    return [
        *(Path(name).expanduser() for name in named if name),
        home / ".terraform.d/plugins",
        home / ".terraform.d/plugin-cache",
        shared / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        Path("/opt/terraform/plugins"),
        Path("/opt/tf-plugins"),
    ]


def provider():
    """The newest AWS provider of version 5 on this machine, or None."""
    found = []
    for folder in folders():
        if folder.is_dir():
            found += [path for path in folder.rglob(PROVIDER) if os.access(path, os.X_OK)]
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)], default=None)


def missing():
    """What is not on this machine, in a sentence; None when all is there."""
    if shutil.which("terraform") is None:
        return "terraform is not on the PATH"
    if provider() is None:
        return f"no file {PROVIDER} in any of {', '.join(str(folder) for folder in folders())}"
    return None


def environment(folder):
    """What both programs see: no credentials and no settings of whoever runs the tests."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "GOGC": GARBAGE,
        "CHECKPOINT_DISABLE": "1",
        "TF_IN_AUTOMATION": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "HTTP_PROXY": NOWHERE,
        "HTTPS_PROXY": NOWHERE,
        "NO_PROXY": "127.0.0.1",
    }


class Provider:
    """The AWS provider as a server of its own."""

    def __init__(self, folder):
        self.log = folder / "provider.log"
        self.folder = folder
        self.attach = None
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [provider(), "-debug"], cwd=folder, env=environment(folder) | QUIET,
                stdout=subprocess.PIPE, stderr=log, stdin=subprocess.DEVNULL, text=True,
            )
        started = threading.Event()
        self.reader = threading.Thread(target=self._read, args=(started,), daemon=True)
        self.reader.start()
        if not started.wait(START_S) or self.attach is None:
            self.stop()
            raise AssertionError(f"the provider did not start:\n{self.log.read_text(errors='replace')[-4000:]}")

    def _read(self, started):
        """Reads its output to the end, so that it never waits for us."""
        for line in self.process.stdout:
            if found := re.search(r"TF_REATTACH_PROVIDERS='(.*)'", line):
                self.attach = found.group(1)
                started.set()
        started.set()

    def terraform(self, folder, *arguments):
        """Runs Terraform in a folder; returns its exit code and output."""
        call = subprocess.run(
            ["terraform", *arguments], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            env={**environment(self.folder), "TF_REATTACH_PROVIDERS": self.attach}, timeout=COMMAND_S, check=False,
        )
        return call.returncode, call.stdout + call.stderr

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

"""Where things are, and a server to talk to, for the tests beside this file."""

import contextlib
import os
import pathlib
import re
import subprocess
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLEET = ROOT / "examples" / "fleet"
# The program under test.
OPENELM = os.environ.get("OPENELM", str(ROOT / "target" / "debug" / "openelm"))


class Server:
    """`openelm serve` with the demo model, at a port of its own."""

    def __init__(self, *flags):
        command = [OPENELM, "serve", "--no-tune", "--port", "0", *flags]
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        said = []
        for line in self.process.stderr:
            said.append(line)
            if found := re.search(r"at (http://[^ ]+:(\d+))/v1;", line):
                self.url, self.port = found[1], int(found[2])
                return
        raise RuntimeError("".join(said))

    def metric(self, name):
        with urllib.request.urlopen(self.url + "/metrics") as answer:
            lines = answer.read().decode().splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if re.match(name + r"[ {]", line))

    def end(self):
        """Its exit code, after it was told to end."""
        self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(30)
        self.process.kill()
        self.process.stderr.close()
        return self.process.wait()

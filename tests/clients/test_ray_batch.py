"""500 requests through Ray on two workers: whatever dies, nothing is lost, nothing is twice, and results are those of one process."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from places import FLEET, OPENELM

# Leaves the process id of a worker, and of the actor that owns it, in a folder; ends where a request says so.
WRAPPER = """#!{python}
import os, subprocess, sys, threading
open("{folder}/" + str(os.getpid()), "w").write(str(os.getppid()))
child = subprocess.Popen(["{openelm}", *sys.argv[1:]], stdin=subprocess.PIPE)
threading.Thread(target=lambda: os._exit(child.wait()), daemon=True).start()
for line in sys.stdin.buffer:
    if b"poison" in line:
        os.kill(os.getpid(), 9)
    child.stdin.write(line)
    child.stdin.flush()
child.stdin.close()
child.wait()
"""


def request(number):
    if number % 3 == 0:
        ids = [1] + [2 + number * place % 3000 for place in range(1, 10 + number % 30)]
        return {"id": f"scored {number}", "token_ids": ids, "score_from": 2 + number % 5}
    if number % 3 == 1:
        return {"id": number, "prompt": f"There were {number} kings", "max_tokens": 1 + number % 5}
    kwargs = {"do_sample": True}
    return {"id": [number], "prompt": "A cat", "max_tokens": 4, "seed": number, "generate_kwargs": kwargs}


class Scene:
    """A folder with requests, results and a wrapper around the program."""

    def __init__(self, requests):
        self.temporary = tempfile.TemporaryDirectory()
        folder = pathlib.Path(self.temporary.name)
        self.requests, self.results = folder / "requests.jsonl", folder / "results.jsonl"
        self.requests.write_text("".join(json.dumps(request) + "\n" for request in requests))
        self.processes, self.wrapper = folder / "processes", folder / "openelm"
        self.processes.mkdir()
        self.wrapper.write_text(WRAPPER.format(python=sys.executable, folder=self.processes, openelm=OPENELM))
        self.wrapper.chmod(0o755)

    def begin(self, *flags):
        script = [sys.executable, str(FLEET / "ray_batch.py"), str(self.requests), str(self.results)]
        own = ["--workers", "2", "--openelm", str(self.wrapper), "--", "--no-tune", "--temperature", "0"]
        return subprocess.Popen([*script, *own, *flags], stderr=subprocess.PIPE, text=True)

    def wait_for_results(self, count):
        end = time.monotonic() + 120
        while time.monotonic() < end:
            if self.results.exists() and len(self.results.read_bytes().splitlines()) >= count:
                return
            time.sleep(0.02)
        raise TimeoutError(f"{count} results")

    def read(self):
        return [json.loads(line) for line in self.results.read_bytes().splitlines()]

    def one_process(self):
        """What a single process answers, in the order of the requests."""
        command = [OPENELM, "generate", "--no-tune", "--temperature", "0", "--jsonl", str(self.requests)]
        output = subprocess.run(command, capture_output=True, check=True).stdout
        return sorted(map(json.loads, output.splitlines()), key=lambda result: result["line"])


def alive(process):
    try:
        os.kill(process, 0)
        return True
    except ProcessLookupError:
        return False


class RayBatch(unittest.TestCase):
    def end(self, process, code):
        _, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, code, errors)
        return errors

    def same(self, found, expected):
        for result in found:
            del result["request"]
        self.assertEqual(found, expected)

    def test_a_worker_and_an_actor_are_killed(self):
        scene = Scene(request(number) for number in range(500))
        process = scene.begin()
        scene.wait_for_results(60)
        workers = [int(path.name) for path in scene.processes.iterdir()]
        self.assertEqual(len(workers), 2)
        os.kill(workers[0], signal.SIGKILL)
        scene.wait_for_results(160)
        # What came in the place of the first, or the second: with all of its actor.
        worker = next(path for path in scene.processes.iterdir() if alive(int(path.name)))
        os.kill(int(worker.read_text()), signal.SIGKILL)
        self.end(process, 0)
        self.assertGreaterEqual(len(list(scene.processes.iterdir())), 4)
        self.same(scene.read(), scene.one_process())

    def test_it_goes_on_and_reports_what_kills(self):
        requests = [request(number) for number in range(60)]
        poison = {"id": "bad", "prompt": "poison"}
        scene = Scene([*requests[:30], poison, *requests[30:]])
        process = scene.begin()
        scene.wait_for_results(10)
        process.send_signal(signal.SIGINT)
        self.assertIn("goes on from there", self.end(process, 1))
        before = len(scene.read())
        with scene.results.open("a") as file:
            file.write('{"line":9,"requ')
        began = len(list(scene.processes.iterdir()))
        errors = self.end(scene.begin(), 1)
        self.assertIn("61 results, 1 of them errors", errors)
        found = scene.read()
        bad = found.pop(30)
        self.assertEqual((bad["line"], bad["id"]), (31, "bad"))
        self.assertIn("3 times", bad["error"])
        # Two at first, and one for each end but the last, after which there may be no more to do.
        self.assertIn(len(list(scene.processes.iterdir())) - began, [4, 5])
        self.assertGreaterEqual(before, 10)
        expected = scene.one_process()
        del expected[30]
        self.same(found, expected)
        # Whole, but for what failed: that is tried again, and other flags are refused.
        self.assertIn("other flags", self.end(scene.begin("-n", "3"), 1))
        scene.requests.write_text("".join(json.dumps(request) + "\n" for request in requests))
        began = len(list(scene.processes.iterdir()))
        self.assertIn("60 results, 0 of them", self.end(scene.begin(), 0))
        self.assertEqual(len(list(scene.processes.iterdir())), began)
        self.assertEqual([result["line"] for result in scene.read()], list(range(1, 61)))

    def test_mistakes_are_told(self):
        scene = Scene([{"id": 1, "prompt": "a"}, {"id": 1, "prompt": "b"}])
        self.assertIn("lines 1 and 2 have the same id 1", self.end(scene.begin(), 1))
        scene = Scene([{"id": 1, "prompt": "a"}])
        self.assertIn("no/such/model", self.end(scene.begin("-m", "no/such/model"), 1))
        scene.results.write_text("my notes\n")
        self.assertIn("something else", self.end(scene.begin(), 1))


if __name__ == "__main__":
    unittest.main()

#!/usr/bin/env python3
"""Answers lines of requests with many `openelm` processes, wherever Ray has machines.

    ray_batch.py requests.jsonl results.jsonl --workers 2 -- -m apple/OpenELM-270M -n 64

What follows `--` are flags of `openelm generate`. A line that kills its process three times is reported. Requests and results are kept
in memory; the same command again goes on where it was ended, by the `id` of each line.
"""

import argparse
import collections
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading

import ray

TRIES = 3


@ray.remote(max_restarts=-1, max_task_retries=TRIES - 1)
class Worker:
    """Owns one process, which loads the model once and answers line by line, as each answer is there."""

    def __init__(self, command):
        gpu = (ray.get_gpu_ids() or [0])[0]
        self.command = [word.replace("{gpu}", str(gpu)) for word in command]
        self.process = None

    def start(self):
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors
        )
        self.asked = 0
        # A request that is none is answered too, once the model is loaded.
        if not self.exchange([b"{}\n"]):
            raise RuntimeError(f"{' '.join(self.command)} does not run: {self.last_words()}")

    def answer(self, lines):
        """Answers by index of their line, without `{"line":…,`. Those that are missing were lost with the process; and how it ended."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        answers = self.exchange(lines)
        return answers, None if len(answers) == len(lines) else self.last_words()

    def exchange(self, lines):
        first, self.asked = self.asked + 1, self.asked + len(lines)
        # By a thread: a process that is busy writing answers does not read.
        threading.Thread(target=self.write, args=[lines], daemon=True).start()
        answers = {}
        while len(answers) < len(lines):
            result = self.process.stdout.readline()
            if not result.endswith(b"\n"):
                break
            number, rest = result.removeprefix(b'{"line":').split(b",", 1)
            answers[int(number) - first] = rest
        return answers

    def write(self, lines):
        try:
            self.process.stdin.writelines(lines)
            self.process.stdin.flush()
        except OSError:
            pass  # It ended; its output tells.

    def last_words(self):
        self.process.kill()
        code = self.process.wait()
        self.errors.seek(max(0, self.errors.seek(0, os.SEEK_END) - 2000))
        return f"exit code {code}; {self.errors.read().decode(errors='replace').strip()}"


def identity(line):
    """The `id` of a request or a result as text, if it has one."""
    try:
        value = json.loads(line)
        found = value.get("id") if isinstance(value, dict) else None
        return None if found is None else json.dumps(found, sort_keys=True, allow_nan=False)
    except (ValueError, RecursionError):
        return None


class Requests:
    """Lines with something on them, by their number; with the hash of each and of the command that answers it."""

    def __init__(self, path, flags):
        self.lines, self.hashes, self.numbers = {}, {}, {}
        with open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                line = line.removeprefix(b"\xef\xbb\xbf" if number == 1 else b"").strip()
                if not line:
                    continue
                key = identity(line) or number
                if key in self.numbers:
                    sys.exit(f"{path}: lines {self.numbers[key]} and {number} have the same id {key}")
                self.numbers[key] = number
                self.lines[number] = line + b"\n"
                self.hashes[number] = hashlib.sha256(repr((flags, line)).encode()).hexdigest()[:16]


class Results:
    """A file of results: each is added as it comes, and at the end all are in the order of their requests."""

    def __init__(self, path, requests):
        self.path, self.requests, self.found, self.failed = path, requests, {}, 0
        if os.path.exists(path):
            self.read()
        self.save()
        self.file = open(path, "ab")

    def read(self):
        for line in open(self.path, "rb"):
            if not line.endswith(b"\n"):
                break  # It was ended while it wrote.
            try:
                result = json.loads(line)
                key, request = identity(line) or result["line"], result["request"]
            except (ValueError, TypeError, KeyError):
                sys.exit(f"{self.path} holds something else than results; name another file")
            number = self.requests.numbers.get(key)
            if "error" in result or number is None:
                continue
            if request != self.requests.hashes[number]:
                sys.exit(f"{self.path} has a result for line {number} of another request or with other flags; name another file")
            self.found[number] = line.split(b",", 2)[2]

    def line(self, number):
        return b'{"line":%d,"request":"%s",%s' % (number, self.requests.hashes[number].encode(), self.found[number])

    def add(self, number, rest):
        self.found[number] = rest
        self.failed += "error" in json.loads(self.line(number))
        self.file.write(self.line(number))
        self.file.flush()

    def save(self):
        with open(self.path + ".tmp", "wb") as file:
            file.writelines(self.line(number) for number in sorted(self.found))
        os.replace(self.path + ".tmp", self.path)


def run(workers, requests, results, size):
    """Gives each worker a batch as soon as it has answered the one before."""
    left = [number for number in requests.lines if number not in results.found]
    batches = collections.deque(left[at : at + size] for at in range(0, len(left), size))
    losses = collections.Counter()
    idle, running = list(workers), {}
    while batches or running:
        while batches and idle:
            worker, batch = idle.pop(), batches.popleft()
            lines = [requests.lines[number] for number in batch]
            running[worker.answer.remote(lines)] = worker, batch
        (future,), _ = ray.wait(list(running))
        worker, batch = running.pop(future)
        idle.append(worker)
        try:
            (answers, why), lost = ray.get(future), 1
        except ray.exceptions.RayActorError as error:
            # Ray has tried it as often as it may; of a line that was alone that is enough.
            answers, why, lost = {}, str(error), TRIES if len(batch) == 1 else 1
        for index, number in enumerate(batch):
            if index in answers:
                results.add(number, answers[index])
                continue
            losses[number] += lost
            if losses[number] < TRIES:
                batches.append([number])  # Alone, so that it is clear whose fault it is.
            else:
                error = f"this request ended its worker {TRIES} times: {why}"
                key = identity(requests.lines[number]) or "null"
                results.add(number, b'"id":%s,"error":%s}\n' % (key.encode(), json.dumps(error).encode()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("requests", help="a line of JSON each, as `openelm generate --prompts` takes them")
    parser.add_argument("results", help="a line of JSON for each of them, in their order")
    parser.add_argument("--workers", type=int, default=1, help="processes, on all machines together")
    parser.add_argument("--gpus", type=float, default=0, help="of each worker; `{gpu}` among the flags becomes its number")
    parser.add_argument("--batch", type=int, default=20, help="lines that a worker gets at a time")
    parser.add_argument("--openelm", default="openelm", help="the program, at the same place on every machine")
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    arguments, flags = parser.parse_args(words[:end]), words[end + 1 :]
    if arguments.workers < 1 or arguments.batch < 1:
        parser.error("--workers and --batch are at least 1")
    requests = Requests(arguments.requests, flags)
    results = Results(arguments.results, requests)
    ray.init(log_to_driver=False)  # RAY_ADDRESS names a cluster; without it, this machine.
    place = Worker.options(num_gpus=arguments.gpus, scheduling_strategy="SPREAD")
    command = [arguments.openelm, "generate", "--jsonl", "-", *flags]
    try:
        run([place.remote(command) for _ in range(arguments.workers)], requests, results, arguments.batch)
    except ray.exceptions.RayTaskError as error:
        sys.exit(f"{error.cause}")
    except KeyboardInterrupt:
        sys.exit(f"ended with {len(results.found)} results; the same command goes on from there")
    results.save()
    print(f"{len(results.found)} results, {results.failed} of them errors", file=sys.stderr)
    sys.exit(results.failed > 0)


if __name__ == "__main__":
    main()

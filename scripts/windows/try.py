#!/usr/bin/env python3
"""Uses openelm.exe under Wine as people use it on Windows.

Prints a line a promise; the exit status is that of all of them. With --steady only those that do not hang on Wine itself, which now and then
ends by a fault when Ctrl-C comes, and shows nothing of a window; and fewer goldens. Needs wine64, Xvfb, Mesa's Vulkan drivers and mingw (for the one DLL that
Wine 8 lacks); for the window xdotool and ImageMagick's `import`.
"""

import argparse
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tty
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
ODD = "Modelle, größere 模型"
GREEDY = ["--temperature", "0", "--repetition-penalty", "1"]

failures = []


def promise(text):
    """Makes a function one promise: it is called at once, and what it raises is shown. Wine faults now and then, so with --steady once more."""

    def call(check):
        start = time.monotonic()
        for left in (1, 0) if asked.steady else (0,):
            try:
                check()
                print(f"ok      {text} ({time.monotonic() - start:.0f} s)", flush=True)
                return
            except Exception as error:  # whatever went wrong is what the next line says
                print(f"{'again ' if left else 'FAILED'}  {text}: {type(error).__name__}: {error}", flush=True)
        failures.append(text)

    return call


def setting(work):
    """An environment in which nothing of this machine's Wine is used or changed."""
    keep = {name: os.environ[name] for name in ("HOME", "PATH", "LANG", "DISPLAY") if name in os.environ}
    for name, value in os.environ.items():
        if name.startswith(("VK_", "MESA_", "LP_", "WGPU_", "OPENELM_")):
            keep[name] = value
    return keep | {"WINEPREFIX": str(work / "wine"), "WINEARCH": "win64", "WINEDEBUG": "-all", "NODEVICE_SELECT": "1"}


class Program:
    def __init__(self, exe, work):
        self.folder = work / ODD
        self.folder.mkdir()
        self.exe = self.folder / "openelm.exe"
        shutil.copy(exe, self.exe)
        dll = self.folder / "bcryptprimitives.dll"
        source = Path(__file__).with_name("ProcessPrng.c")
        build = ["x86_64-w64-mingw32-gcc", "-O1", "-shared", "-o", dll, source, "-ladvapi32"]
        subprocess.run(build, check=True)
        self.environment = setting(work)
        subprocess.run(["wineboot", "-i"], env=self.environment, timeout=300, capture_output=True, check=True)

    def command(self, *arguments):
        return ["wine", self.exe, *map(str, arguments)]

    def start(self, *arguments, **options):
        return subprocess.Popen(self.command(*arguments), env=self.environment, cwd=self.folder, **options)

    def run(self, *arguments, stdin=b"", code=0):
        """Standard output and standard error, as text."""
        done = subprocess.run(
            self.command(*arguments), env=self.environment, cwd=self.folder, input=stdin, capture_output=True, timeout=300
        )
        out, errors = (text.decode("utf-8") for text in (done.stdout, done.stderr))
        assert done.returncode == code, f"exit {done.returncode}: {errors[-600:]}"
        assert "panicked" not in errors, errors
        return out, errors

    def json(self, *arguments, **options):
        return json.loads(self.run(*arguments, "--json", **options)[0])

    def generated(self, *arguments, **options):
        return self.json("generate", *GREEDY, *arguments, **options)


def in_terminal(program, *arguments, typed="", until, raw=False, seconds=120):
    """Runs a program in a terminal until `until` is shown, types, and returns what was shown, and the exit status. A terminal that is `raw` hands
    on keys as they are: any other makes Enter a line feed, which Wine takes for another key, and Ctrl-C a signal."""
    child, terminal = pty.fork()
    if child == 0:
        if raw:
            tty.setraw(0)
        os.chdir(program.folder)
        os.environ.clear()
        os.environ.update(program.environment, TERM="xterm")
        os.execvp("wine", [str(part) for part in program.command(*arguments)])
    shown, has_typed, end = b"", False, time.monotonic() + seconds
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            try:
                part = os.read(terminal, 65536)
            except OSError:
                break
            if not part:
                break
            shown += part
        if not has_typed and until in shown.decode("utf-8", "replace"):
            os.write(terminal, typed.encode())
            has_typed = True
    else:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return shown.decode("utf-8", "replace"), os.waitstatus_to_exitcode(status)


def try_all(program):
    model = program.folder / "openelm f16 模型"
    shutil.copytree(FIXTURES / "openelm-f16", model)
    quantised = program.folder / "q8 é 数"

    @promise("devices are listed, Vulkan's among them")
    def _():
        devices = program.json("devices")
        assert any(device["backend"] == "vulkan" for device in devices), devices

    def goldens(folder, file):
        worst = 0.0
        cases = json.loads(file.read_text())["cases"]
        for case in cases[:2] if asked.steady else cases:
            ids = ",".join(map(str, case["ids"]))
            count = min(16, len(case["greedy"]))
            where = ["-m", folder, "--token-ids", ids]
            found = program.generated(*where, "-n", count, "--ignore-eos", "--no-tune")["ids"]
            assert found == case["greedy"][:count], f"{found} are not {case['greedy'][:count]}"
            scores = program.json("score", *where, "--kv-dtype", "f32", "--no-tune")["logprobs"]
            pairs = zip(scores[1:], case["token_logprobs"])
            worst = max([worst, *(abs(ours - theirs) for ours, theirs in pairs)])
        assert worst < 1e-5, f"log-probabilities differ by {worst}"

    @promise("f16 and sharded bf16 checkpoints, and the demo model, give Apple's numbers")
    def _():
        goldens(model, FIXTURES / "openelm-f16" / "golden.json")
        goldens(FIXTURES / "openelm-bf16-sharded", FIXTURES / "openelm-bf16-sharded" / "golden.json")
        goldens("demo", FIXTURES / "demo-golden.json")

    ids = ["--token-ids", "1,328", "-n", 8, "--ignore-eos"]
    expected = program.generated("-m", model, *ids)["ids"]

    @promise("a path may be written with either slash, and relative")
    def _():
        for path in (model.name, f".\\{model.name}", f"Z:{model}", f"Z:{model}".replace("/", "\\") + "\\"):
            found = program.generated("-m", path, *ids)["ids"]
            assert found == expected, path

    @promise("a GGUF file is read")
    def _():
        program.generated("-m", FIXTURES / "gguf" / "converted-f16.gguf", *ids)

    @promise("a model is quantised into a new folder, which is then used and not overwritten")
    def _():
        shutil.rmtree(quantised, ignore_errors=True)
        program.run("quantize", model, quantised)
        program.generated("-m", quantised, *ids)
        _, errors = program.run("quantize", model, quantised, code=1)
        assert "exists" in errors, errors
        assert not list(program.folder.glob("*.part*")), "something half-written is left"

    @promise("a model may be quantised while another process has it mapped")
    def _():
        other = program.folder / "q4"
        shutil.rmtree(other, ignore_errors=True)
        reader = program.start("generate", "-m", quantised, "--token-ids", "1", "-n", 60, "--ignore-eos", "--no-echo",
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        program.run("quantize", quantised, other, "--dtype", "q4")
        assert reader.wait(timeout=120) == 0

    @promise("text of any script goes in as an argument and comes out in UTF-8")
    def _():
        text = "Ünïcödé, 模型, 🙂 and Ωmega"
        told = program.json("tokenize", "-p", text)
        assert told["text"] == text if "text" in told else told, told
        assert text in program.run("-p", text, "-n", 1, *GREEDY)[0]

    @promise("lines of standard input and of files may end as on Windows")
    def _():
        plain = program.json("tokenize", "-p", "-", stdin="Once upon a time\n".encode())
        with_cr = program.json("tokenize", "-p", "-", stdin="Once upon a time\r\n".encode())
        assert plain["ids"] == with_cr["ids"], (plain, with_cr)
        prompts = program.folder / "prompts 一.jsonl"
        prompts.write_bytes(b'{"prompt": "Once"}\r\n{"prompt": "There"}\r\n')
        results = program.folder / "results 二.jsonl"
        for _ in range(2):
            program.run("--prompts", prompts, "--out", results, "-n", 4, *GREEDY)
        lines = results.read_text("utf-8").splitlines()
        assert [json.loads(line)["line"] for line in lines] == [1, 2], lines

    @promise("results may go to NUL, as to /dev/null elsewhere")
    def _():
        program.run("--prompts", program.folder / "prompts 一.jsonl", "--out", "NUL", "-n", 2, *GREEDY)

    @promise("a kept prompt is written, read and replaced")
    def _():
        cache = program.folder / "gemerkt 記.session"
        texts = [program.run("-p", "Once upon a time", "-n", 6, *GREEDY, "--prompt-cache", cache)[0] for _ in range(3)]
        assert len(set(texts)) == 1 and cache.stat().st_size > 0, texts

    @promise("a mistake is told in words, with exit status 1 or 2")
    def _():
        for arguments, words in [
            (["-m", "C:\\no such\\folder"], "no such"),
            (["-m", program.folder], "config.json"),
            (["-p", "x", "--trace", "C:\\<>|?.csv"], "write"),
        ]:
            done = subprocess.run(program.command(*arguments), env=program.environment, cwd=program.folder,
                                  capture_output=True, timeout=120)
            errors = done.stderr.decode()
            assert done.returncode in (1, 2) and words in errors and "panicked" not in errors, errors

    @promise("who reads no more ends it quietly")
    def _():
        story = program.start("-p", "Once", "-n", 200, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        story.stdout.read(8)
        story.stdout.close()
        assert story.wait(timeout=120) == 0, story.stderr.read().decode()

    @promise("in a console text streams, in any script")
    def _():
        shown, code = in_terminal(program, "-p", "Grüße 模型:", "-n", "4", *GREEDY, until="\0")
        assert code == 0 and "Grüße" in shown and "模型" in shown, (code, shown[-800:])

    @promise("a conversation takes questions from a console")
    def _():
        shown, code = in_terminal(program, "chat", "-n", "4", typed="Hello\r/quit\r", until="K>", raw=True, seconds=60)
        assert code == 0, (code, shown[-800:])

    @promise("the server answers, and is ended by Ctrl-C's exit")
    def _():
        server = program.start("serve", "--port", 0, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            address = None
            while address is None:
                line = server.stdout.readline().decode()
                assert line, "it ended"
                words = [word.rstrip("/.,;").removesuffix("/v1") for word in line.split() if word.startswith("http://")]
                address = words[0] if words else None
            body = json.dumps({"model": "demo", "prompt": "Once upon a time", "max_tokens": 4, "temperature": 0}).encode()
            request = urllib.request.Request(address + "/v1/completions", body, {"Content-Type": "application/json"})
            answer = json.load(urllib.request.urlopen(request, timeout=60))
            assert answer["usage"]["completion_tokens"] == 4, answer
            page = urllib.request.urlopen(address + "/", timeout=60).read()
            assert b"<html" in page, page[:200]
        finally:
            server.kill()
            server.wait()

    if asked.steady:
        return

    @promise("Ctrl-C ends a text in its middle, with exit status 130 or 0 and its summary")
    def _():
        arguments = ["-p", "Once upon a time", "-n", "1000", "--ignore-eos"]
        shown, code = in_terminal(program, *arguments, typed="\x03", until="time", seconds=60)
        assert code in (0, 130), (code, shown[-800:])

    if asked.screenshots and all(map(shutil.which, ("xdotool", "import"))):

        @promise(f"the window opens and writes a story (screenshots in {asked.screenshots})")
        def _():
            window(program, asked.screenshots.resolve())
    else:
        print("left out: the window (--screenshots FOLDER, xdotool, import)")


def window(program, screenshots):
    screenshots.mkdir(parents=True, exist_ok=True)
    here = {"DISPLAY": os.environ["DISPLAY"], "PATH": os.environ["PATH"]}
    errors = screenshots / "stderr.txt"
    opened = None

    def picture(name):
        subprocess.run(["import", "-window", "root", screenshots / name], env=here, check=True, timeout=30)

    try:
        with open(errors, "wb") as log:
            opened = program.start("window", "--data-dir", program.folder / "Daten 数据", stdout=log, stderr=log)
        find = ["xdotool", "search", "--sync", "--onlyvisible", "--name", "^OpenELM$"]
        found = subprocess.run(find, env=here, capture_output=True, timeout=90)
        assert opened.poll() is None, errors.read_text()
        identifier = found.stdout.decode().split()[0]
        time.sleep(8)
        picture("first-run.png")
        subprocess.run(["xdotool", "windowfocus", identifier], env=here, timeout=30)
        subprocess.run(["xdotool", "type", "--delay", "60", "Once upon a time there was a king"], env=here, timeout=60)
        subprocess.run(["xdotool", "key", "Return"], env=here, timeout=30)
        time.sleep(12)
        picture("story.png")
        assert opened.poll() is None, errors.read_text()
        assert list((program.folder / "Daten 数据").rglob("*.json")), "nothing was kept"
    finally:
        if opened:
            opened.kill()


def screen():
    """Wine has Vulkan only where it has a screen, and its window should not be among other people's."""
    os.environ["DISPLAY"] = f":{100 + os.getpid() % 800}"
    command = ["Xvfb", os.environ["DISPLAY"], "-screen", "0", "1280x800x24", "-nolisten", "tcp"]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(2)
    return server


def main():
    server = screen()
    with tempfile.TemporaryDirectory(prefix="openelm-windows-") as work:
        program = Program(asked.exe.resolve(), Path(work))
        try:
            try_all(program)
        finally:
            subprocess.run(["wineserver", "-k"], env=program.environment, capture_output=True)
            subprocess.run(["wineserver", "-w"], env=program.environment, capture_output=True, timeout=60)
            server.kill()
            server.wait()
    print(f"{len(failures)} promises are not kept" if failures else "every promise is kept")
    sys.exit(bool(failures))


parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("exe", type=Path, help="openelm.exe")
parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="try the window too, and keep pictures of it")
parser.add_argument("--steady", action="store_true", help="only what Wine does the same way each time")
asked = parser.parse_args()
main()

"""Two replicas behind HAProxy, with examples/fleet/haproxy.cfg: one is killed in mid-work, and every request is answered."""

import concurrent.futures
import http.client
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from places import FLEET, Server


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@unittest.skipUnless(shutil.which("haproxy"), "haproxy is not installed")
class HAProxy(unittest.TestCase):
    def setUp(self):
        self.servers = [Server(), Server()]
        self.port = free_port()
        text = (FLEET / "haproxy.cfg").read_text()
        ports = {"8080": self.port, "8001": self.servers[0].port, "8002": self.servers[1].port}
        text = re.sub(r"127\.0\.0\.1:(\d+)", lambda found: f"127.0.0.1:{ports[found[1]]}", text)
        self.folder = tempfile.TemporaryDirectory()
        config = pathlib.Path(self.folder.name, "haproxy.cfg")
        config.write_text(text)
        self.proxy = subprocess.Popen(["haproxy", "-db", "-f", str(config)], stderr=subprocess.DEVNULL)
        end = time.monotonic() + 300
        while self.status("GET", "/health") != 200:
            self.assertLess(time.monotonic(), end, "HAProxy does not answer")
            time.sleep(0.05)

    def tearDown(self):
        self.proxy.terminate()
        self.proxy.wait()
        for server in self.servers:
            server.end()
        self.folder.cleanup()

    def exchange(self, method, path, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            text = json.dumps(body) if body else None
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def status(self, method, path):
        try:
            return self.exchange(method, path)[0]
        except OSError:
            return None

    def ask(self, number):
        # Some bodies are larger than HAProxy's usual buffer, and could not be sent again from there.
        prompt = [[1] + [2 + number * place % 3000 for place in range(1, 400)]] * 12 if number % 4 == 0 else f"There were {number} kings"
        body = {"prompt": prompt, "max_tokens": 12, "temperature": 0, "ignore_eos": True}
        status, text = self.exchange("POST", "/v1/completions", body)
        self.assertEqual(status, 200, text)
        return [choice["text"] for choice in json.loads(text)["choices"]]

    def test_a_replica_is_killed_in_mid_work(self):
        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            answers = [threads.submit(self.ask, number) for number in range(60)]
            while sum(answer.done() for answer in answers) < 15:
                time.sleep(0.01)
            # While it has something to do.
            while not self.servers[0].metric("openelm_num_requests_running"):
                self.assertFalse(all(answer.done() for answer in answers))
                time.sleep(0.01)
            self.servers[0].process.send_signal(signal.SIGKILL)
            texts = [answer.result() for answer in answers]
        # Whoever answered, it is what the one that is left answers.
        for number in range(0, 60, 7):
            self.assertEqual(texts[number], self.ask(number))

    def test_a_replica_ends(self):
        with concurrent.futures.ThreadPoolExecutor(12) as threads:
            answers = [threads.submit(self.ask, number) for number in range(1, 60) if number % 4]
            while sum(answer.done() for answer in answers) < 10:
                time.sleep(0.01)
            self.servers[0].process.terminate()
            for answer in answers:
                answer.result()
        self.assertEqual(self.servers[0].process.wait(30), 0)

    def test_who_hangs_up_is_hung_up_on(self):
        body = json.dumps({"prompt": "The wolf", "max_tokens": 450, "ignore_eos": True, "stream": True}).encode()
        head = f"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            connection.sendall(head.encode() + body)
            begun = b""
            while b"data:" not in begun:
                begun += connection.recv(4096)
        end = time.monotonic() + 300
        while sum(server.metric("openelm_requests_cancelled_total") for server in self.servers) != 1:
            self.assertLess(time.monotonic(), end, "nobody noticed")
            time.sleep(0.05)


if __name__ == "__main__":
    unittest.main()

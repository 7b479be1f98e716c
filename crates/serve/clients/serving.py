"""A `maana serve` in tests, and what tests of rerankers share."""

import json
import os
import pathlib
import socket
import subprocess
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
MAANA = os.environ.get("MAANA", str(ROOT / "target/debug/maana"))


class Server:
    """A running `maana serve`."""

    def __init__(self, model, log, *flags):
        self.log = open(log, "w+", encoding="utf-8")
        command = [MAANA, "serve", str(model), "--port", "0", *flags]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True)
        line = self.process.stdout.readline().strip()
        assert line.startswith("listening on http://"), f"{command}: said {line!r}; {self.last_words()}"
        self.url = line.removeprefix("listening on ")
        wait_until_ready(self)

    def last_words(self):
        self.log.seek(0)
        return self.log.read()[-2000:]

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0, self.last_words()
        assert "panic" not in self.last_words()


def wait_until_ready(server):
    for _ in range(600):
        try:
            with urllib.request.urlopen(server.url + "/health/ready") as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, socket.error):
            pass
        time.sleep(0.05)
    raise AssertionError(f"not ready after 30 s; {server.last_words()}")


def start(model, tmp_path_factory, *flags):
    server = Server(model, tmp_path_factory.mktemp("log") / "log.txt", *flags)
    yield server
    server.stop()


def post(server, path, body, headers=None):
    """Status, headers and JSON of an answer."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    request = urllib.request.Request(server.url + path, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request) as answer:
            return answer.status, answer.headers, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.headers, json.load(error)


QUERY = "habari ya mto"
DOCUMENTS = ["mto ni mkubwa", "rafiki yangu", "", "habari ya asubuhi, rafiki!", "rafiki yangu", "neno " * 100]


def ranking(server, model=None):
    """Indices and scores of the documents, the best first, by `/predict`."""
    body = {"inputs": [[QUERY, document] for document in DOCUMENTS], "model": model}
    scores = [labels[0]["score"] for labels in post(server, "/predict", body)[2]]
    return sorted(enumerate(scores), key=lambda one: (-one[1], one[0]))

"""A hub on the loopback interface: the routes that `huggingface_hub` and `maana push` use, in memory."""

import base64
import hashlib
import http.server
import json
import threading
import urllib.parse

PART = 40_000


class Hub:
    """Repositories by name, large files by SHA-256, and a log of requests: method, path, body."""

    def __init__(self):
        self.repositories, self.stored, self.parts, self.log = {}, {}, {}, []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                parsed = urllib.parse.urlsplit(self.path)
                hub.log.append((self.command, parsed.path, body, self.headers.get("authorization")))
                status, headers, content = hub.answer(self.command, urllib.parse.unquote(parsed.path), body)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = handle_any

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def answer(self, method, path, body):
        words = path.strip("/").split("/")
        text = body.decode("utf-8", "replace")
        if method == "PUT":
            self.parts[path] = body
            return 200, {"ETag": f'"{hashlib.md5(body).hexdigest()}"'}, b""
        if path == "/api/repos/create":
            settings = json.loads(text)
            name = f"{settings['organization']}/{settings['name']}"
            if name in self.repositories:
                return self.error(409, "You already created this model repo")
            self.repositories[name] = {"files": {}, "private": settings.get("visibility") == "private", "commits": []}
            return self.json({"url": f"{self.url}/{name}"})
        if path == "/api/validate-yaml":
            return self.json({"errors": [], "warnings": []})
        if path.endswith(".git/info/lfs/objects/batch"):
            return self.json({"transfer": "multipart", "objects": [self.actions(entry) for entry in json.loads(text)["objects"]]})
        if path == "/complete":
            done = json.loads(text)
            parts = [self.parts[f"/{done['oid']}/{part['partNumber']}"] for part in done["parts"]]
            return self.store(done["oid"], b"".join(parts))
        if path == "/verify":
            done = json.loads(text)
            self.stored.setdefault(done["oid"], self.parts.get(f"/{done['oid']}", b""))
            return self.json({}) if len(self.stored[done["oid"]]) == done["size"] else self.error(404, "not stored")
        if words[:2] == ["api", "models"]:
            name = "/".join(words[2:4])
            if name not in self.repositories:
                return self.error(404, "Repository not found", "RepoNotFound")
            return self.api(self.repositories[name], name, words[4:], text)
        if words[2:3] == ["resolve"]:
            return self.resolve(self.repositories["/".join(words[:2])], "/".join(words[4:]))
        return self.error(404, "no such route")

    def api(self, repository, name, route, text):
        files = repository["files"]
        if route[:1] == ["preupload"]:
            modes = []
            for entry in json.loads(text)["files"]:
                large = entry["path"].endswith(".safetensors")
                known = files.get(entry["path"])
                oid = None if known is None else self.etag(entry["path"], known)
                mode = "lfs" if large else "regular"
                modes.append({"path": entry["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
            return self.json({"files": modes})
        if route[:1] == ["commit"]:
            lines = [json.loads(line) for line in text.splitlines()]
            for line in lines[1:]:
                value = line["value"]
                content = base64.b64decode(value["content"]) if line["key"] == "file" else self.stored[value["oid"]]
                files[value["path"]] = content
            repository["commits"].append(lines)
            return self.json({"commitOid": self.commit(repository), "commitUrl": f"{self.url}/{name}/commit/{self.commit(repository)}"})
        if route[:1] == ["tree"]:
            return self.json([self.entry(path, content) for path, content in files.items()])
        siblings = [{"rfilename": path, "size": len(content)} for path, content in files.items()]
        return self.json({"id": name, "sha": self.commit(repository), "private": repository["private"], "siblings": siblings})

    def resolve(self, repository, path):
        content = repository["files"][path]
        headers = {"ETag": f'"{self.etag(path, content)}"', "X-Repo-Commit": self.commit(repository)}
        return 200, headers | {"Content-Length": str(len(content))}, content

    def entry(self, path, content):
        entry = {"type": "file", "path": path, "size": len(content), "oid": git(content)}
        if path.endswith(".safetensors"):
            entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 130}
        return entry

    def actions(self, entry):
        oid, size = entry["oid"], entry["size"]
        if oid in self.stored:
            return {"oid": oid, "size": size}
        verify = {"href": f"{self.url}/verify"}
        if size <= PART:
            return {"oid": oid, "size": size, "actions": {"upload": {"href": f"{self.url}/{oid}"}, "verify": verify}}
        count = -(-size // PART)
        header = {str(part): f"{self.url}/{oid}/{part}?signature=x" for part in range(1, count + 1)}
        upload = {"href": f"{self.url}/complete", "header": header | {"chunk_size": str(PART)}}
        return {"oid": oid, "size": size, "actions": {"upload": upload, "verify": verify}}

    def store(self, oid, content):
        if hashlib.sha256(content).hexdigest() != oid:
            return self.error(400, "the content has another checksum")
        self.stored[oid] = content
        return self.json({})

    @staticmethod
    def etag(path, content):
        return hashlib.sha256(content).hexdigest() if path.endswith(".safetensors") else git(content)

    @staticmethod
    def commit(repository):
        return f"{len(repository['commits']):040x}"

    @staticmethod
    def json(value):
        return 200, {"Content-Type": "application/json"}, json.dumps(value).encode()

    @staticmethod
    def error(status, message, code="Error"):
        return status, {"X-Error-Code": code, "X-Error-Message": message}, json.dumps({"error": message}).encode()


def git(content):
    """Git's name of a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()

"""A Hugging Face Hub on this machine: the part of its HTTP interface that pushing and pulling use.

Git LFS (`basic` transfers) and small files in commits are here; the Xet protocol, which the real Hub prefers where
`hf_xet` is installed, is not. Everything is kept in memory.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import yaml

TOKEN = "hf_of_the_tests"
LARGE = (".h5", ".safetensors", ".parquet", ".mp4", ".png")


class StandIn(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.repos: dict[tuple[str, str], list[tuple[str, dict[str, dict]]]] = {}  # -> (commit, files), oldest first
        self.private: set[tuple[str, str]] = set()
        self.objects: dict[str, bytes] = {}  # of Git LFS
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def storage(self) -> str:
        """Large files lie at another host, as they do at the real Hub: a reader follows there only for the content."""
        return f"http://localhost:{self.server_port}"

    def files(self, kind: str, repo: str) -> dict[str, bytes]:
        """What the newest commit holds."""
        return {name: self.content(file) for name, file in self.repos[kind, repo][-1][1].items()}

    def content(self, file: dict) -> bytes:
        return self.objects[file["lfs"]] if "lfs" in file else file["content"]

    def commit(self, kind: str, repo: str, files: dict[str, dict]) -> str:
        history = self.repos[kind, repo]
        oid = hashlib.sha1(f"{kind} {repo} {len(history)}".encode()).hexdigest()
        history.append((oid, files))
        return oid


class Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Nothing on the screen."""

    def reply(self, status=200, content=b"", **headers):
        body = json.dumps(content).encode() if not isinstance(content, bytes) else content
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status, code, message):
        self.reply(status, {"error": message}, X_Error_Code=code, X_Error_Message=message)

    def answer(self):
        path = unquote(urlsplit(self.path).path)
        self.server.asked.append(f"{self.command} {path}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        signed = path.startswith("/lfs/")  # so that they need no token
        if self.command in ("POST", "PUT") and not signed and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.refuse(401, "", "Invalid username or password.")
        for pattern, method in ROUTES:
            if found := re.fullmatch(pattern, f"{self.command} {path}"):
                return getattr(self, method)(body, **found.groupdict())
        return self.refuse(404, "EntryNotFound", f"the stand-in has no {self.command} {path}")

    do_GET = do_HEAD = do_POST = do_PUT = answer

    def history(self, kind, repo, revision=None):
        """(commit, files) of a revision; None after an error was sent."""
        key = (kind, repo)
        if key not in self.server.repos or (
            key in self.server.private and self.headers.get("Authorization") != f"Bearer {TOKEN}"
        ):
            self.refuse(401 if key in self.server.private else 404, "RepoNotFound", "Repository not found")
            return None
        known = self.server.repos[key]
        found = known[-1:] if revision in (None, "main") else [c for c in known if c[0] == revision]
        if not found:
            self.refuse(404, "RevisionNotFound", "Invalid rev id")
            return None
        return found[0]

    def create(self, body):
        asked = json.loads(body)
        kind, repo = asked.get("type") or "model", f"{asked['organization']}/{asked['name']}"
        url = f"{self.server.address}/{'' if kind == 'model' else kind + 's/'}{repo}"
        if (kind, repo) in self.server.repos:
            return self.reply(409, {"error": "You already created this repo", "url": url})
        self.server.repos[kind, repo] = []
        if asked.get("private") or asked.get("visibility") == "private":
            self.server.private.add((kind, repo))
        self.server.commit(kind, repo, {".gitattributes": {"content": b"*.h5 filter=lfs\n"}})
        return self.reply(200, {"url": url, "name": repo, "id": repo})

    def validate(self, body):
        text = json.loads(body)["content"]
        try:
            block = yaml.safe_load(text.split("---\n")[1])
            errors = [] if isinstance(block, dict) and block.get("license") else [{"message": "license is missing"}]
        except (IndexError, yaml.YAMLError) as error:
            errors = [{"message": f"no block of YAML: {error}"}]
        self.reply(400 if errors else 200, {"errors": errors, "warnings": []})

    def preupload(self, body, kind, repo, revision):
        if self.history(kind, repo, revision):
            files = [
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                    "shouldIgnore": False,
                }
                for file in json.loads(body)["files"]
            ]
            self.reply(200, {"files": files})

    def batch(self, body, repo, kind=None):
        asked = json.loads(body)
        assert "basic" in asked["transfers"]
        objects = []
        for one in asked["objects"]:
            action = {"upload": {"href": f"{self.server.storage}/lfs/{one['oid']}"}}
            action["verify"] = {"href": f"{self.server.address}/lfs-verify"}
            objects.append({**one, **({} if one["oid"] in self.server.objects else {"actions": action})})
        self.reply(200, {"transfer": "basic", "objects": objects})

    def put(self, body, oid):
        if hashlib.sha256(body).hexdigest() != oid:
            return self.refuse(400, "", "the content has another hash")
        self.server.objects[oid] = body
        return self.reply(200)

    def verify(self, body):
        asked = json.loads(body)
        whole = len(self.server.objects.get(asked["oid"], b"")) == asked["size"]
        self.reply(200 if whole else 404, {})

    def take(self, body, kind, repo, revision):
        if not (before := self.history(kind, repo, revision)):
            return
        files = dict(before[1])
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = {"content": base64.b64decode(value["content"])}
            elif line["key"] == "lfsFile":
                files[value["path"]] = {"lfs": value["oid"]}
        oid = self.server.commit(kind, repo, files)
        self.reply(200, {"commitUrl": f"{self.server.address}/{repo}/commit/{oid}", "commitOid": oid, "success": True})

    def info(self, body, kind, repo, revision=None):
        if found := self.history(kind, repo, revision):
            about = {"id": repo, "sha": found[0], "private": False, "tags": [], "downloads": 0, "likes": 0}
            self.reply(200, about | {"siblings": [{"rfilename": name} for name in found[1]]})

    def tree(self, body, kind, repo, revision):
        if found := self.history(kind, repo, revision):
            rows = []
            for name, file in found[1].items():
                size, oid = len(self.server.content(file)), hashlib.sha1(name.encode()).hexdigest()
                large = {"lfs": {"oid": file["lfs"], "size": size, "pointerSize": 130}} if "lfs" in file else {}
                rows.append({"type": "file", "path": name, "size": size, "oid": oid, **large})
            self.reply(200, rows)

    def resolve(self, body, repo, revision, name, kind=None):
        if not (found := self.history((kind or "models/")[:-2], repo, revision)):
            return
        if name not in found[1]:
            self.refuse(404, "EntryNotFound", "Entry not found")
            return
        file = found[1][name]
        content, about = self.server.content(file), {"X_Repo_Commit": found[0]}
        if "lfs" in file:
            about |= {"X_Linked_Size": len(content), "X_Linked_ETag": f'"{file["lfs"]}"'}
            self.reply(302, b"", Location=f"{self.server.storage}/lfs/{file['lfs']}", **about)
        else:
            etag = hashlib.sha1(content).hexdigest()
            self.reply(200, content, ETag=f'"{etag}"', Content_Length=len(content), **about)

    def get(self, body, oid):
        self.reply(200, self.server.objects[oid], ETag=f'"{oid}"')


REPO = r"(?P<repo>[\w.-]+/[\w.-]+)"
API = rf"/api/(?P<kind>model|dataset)s/{REPO}"
PLACE = rf"/(?P<kind>datasets/)?{REPO}"
ROUTES = (
    (r"POST /api/repos/create", "create"),
    (r"POST /api/validate-yaml", "validate"),
    (rf"POST {API}/preupload/(?P<revision>[^/]+)", "preupload"),
    (rf"POST {PLACE}\.git/info/lfs/objects/batch", "batch"),
    (r"PUT /lfs/(?P<oid>\w+)", "put"),
    (r"POST /lfs-verify", "verify"),
    (rf"POST {API}/commit/(?P<revision>[^/]+)", "take"),
    (rf"GET {API}(/revision/(?P<revision>[^/]+))?", "info"),
    (rf"GET {API}/tree/(?P<revision>[^/]+)/?", "tree"),
    (rf"(GET|HEAD) {PLACE}/resolve/(?P<revision>[^/]+)/(?P<name>.+)", "resolve"),
    (r"GET /lfs/(?P<oid>\w+)", "get"),
)


@contextmanager
def running():
    """A stand-in that answers until the block ends."""
    server = StandIn()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

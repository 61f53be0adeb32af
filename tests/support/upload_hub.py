"""The little of the Hugging Face hub's API that a push needs, over real HTTP on 127.0.0.1."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from unittest.mock import patch

TOKEN = "hf_goodtokengoodtoken"


@dataclass
class Repository:
    """A data set on the hub: its files, and who may see them."""

    private: bool = False
    gated: bool | str = False
    files: dict[str, bytes] = field(default_factory=dict)


@dataclass
class UploadHub:
    """`repositories` by name; `status` is answered to every commit if it is set; `commits` counts;
    without `accounts` it says of no token whose it is."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    status: int | None = None
    commits: int = 0
    accounts: bool = True
    asked: list[str] = field(default_factory=list)


@contextmanager
def upload_hub() -> Iterator[UploadHub]:
    """A hub that huggingface_hub talks to in this process while it stands."""
    hub = UploadHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with (
            patch("huggingface_hub.constants.ENDPOINT", hub.url),
            patch("huggingface_hub.hf_api.api.endpoint", hub.url),
        ):
            yield hub
    finally:
        server.shutdown()
        server.server_close()


def _handler(hub: UploadHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *told: Any) -> None:
            return

        def do_GET(self) -> None:
            hub.asked.append(f"GET {self.path}")
            if self.path == "/api/whoami-v2" and hub.accounts:
                return self._say(200, {"name": "tester"}) if self._known() else self._no(401)
            name = re.fullmatch(r"/api/datasets/([^?]+)", self.path)
            found = hub.repositories.get(name[1]) if name else None
            if found is None:
                return self._no(404, "RepoNotFound")
            return self._say(
                200,
                {
                    "id": name[1] if name else "",
                    "sha": "0" * 40,
                    "private": found.private,
                    "gated": found.gated,
                    "siblings": [{"rfilename": f} for f in found.files],
                },
            )

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            hub.asked.append(f"POST {self.path}")
            if not self._known():
                return self._no(401)
            if self.path == "/api/validate-yaml":
                return self._say(200, {})
            if self.path == "/api/repos/create":
                return self._create(json.loads(body))
            verb = re.fullmatch(r"/api/datasets/(.+)/(preupload|commit)/main", self.path)
            if verb is None or verb[1] not in hub.repositories:
                return self._no(404, "RepoNotFound")
            if verb[2] == "preupload":
                files = [f["path"] for f in json.loads(body)["files"]]
                modes = [{"path": f, "uploadMode": "regular", "shouldIgnore": False} for f in files]
                return self._say(200, {"files": modes})
            return self._commit(verb[1], body)

        def _create(self, asked: dict[str, Any]) -> None:
            owner = asked.get("organization") or "tester"
            if owner != "tester":
                return self._no(403, message=f"no rights in {owner}")
            name = f"{owner}/{asked['name']}"
            hub.repositories[name] = Repository(private=asked.get("visibility") == "private")
            return self._say(200, {"url": f"{hub.url}/datasets/{name}"})

        def _commit(self, name: str, body: bytes) -> None:
            if hub.status is not None:
                return self._no(hub.status, message="it is not to be")
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    hub.repositories[name].files[line["value"]["path"]] = content
            hub.commits += 1
            url = f"{hub.url}/datasets/{name}/commit/{'0' * 40}"
            return self._say(200, {"commitUrl": url, "commitOid": "0" * 40})

        def _known(self) -> bool:
            return self.headers.get("Authorization") == f"Bearer {TOKEN}"

        def _no(self, status: int, code: str = "", message: str = "no") -> None:
            self._say(
                status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message}
            )

        def _say(self, status: int, told: Any, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(told).encode()
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                if value:
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    return Handler

"""The outside of a platform test: a chart repository and Git repositories over HTTP on loopback."""

import os
import shutil
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[3]
CHARTS = ROOT / "src/infraflux/lab/gitops/charts"


def git(repository: Path, *words: str) -> str:
    author = {"GIT_AUTHOR_NAME": "t", "GIT_AUTHOR_EMAIL": "t@example.org"}
    author |= {"GIT_COMMITTER_NAME": "t", "GIT_COMMITTER_EMAIL": "t@example.org", "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(
        ["git", "-C", repository, *words], capture_output=True, text=True, check=True, env=os.environ | author
    )
    return done.stdout


def make_repository(path: Path, trees: dict[str, Path]) -> Path:
    """A repository with copies of these trees at these places, committed on main."""
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--initial-branch", "main")
    for place, tree in trees.items():
        shutil.copytree(tree, path / place, dirs_exist_ok=True)
    git(path, "add", "--all")
    git(path, "commit", "--quiet", "--message", "start")
    return path


class Web(ThreadingHTTPServer):
    """Serves `/charts/*` as files and `/<name>.git/*` through git http-backend; `users` may read private ones."""

    daemon_threads = True

    def __init__(self, address: str, *, charts: Path, repositories: Path) -> None:
        super().__init__((address, 0), _Handler)
        self.charts, self.repositories = charts, repositories
        self.url = f"http://{address}:{self.server_port}"
        self.closed: set[str] = set()
        """Repositories that answer 401, as with bad credentials."""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Web

    def log_message(self, *_: object) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/charts/"):
            self._file(self.server.charts / path.removeprefix("/charts/"))
        else:
            self._git()

    def do_POST(self) -> None:
        self._git()

    def _file(self, path: Path) -> None:
        if not path.is_file():
            self.send_error(404)
            return
        data = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _git(self) -> None:
        parts = urlsplit(self.path)
        if any(parts.path.startswith(f"/{name}.git") for name in self.server.closed):
            self.send_error(401)
            return
        name, _, rest = parts.path.lstrip("/").partition(".git")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.server.repositories),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{name}/.git{rest}",
            "QUERY_STRING": parts.query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "reader",
        }
        done = subprocess.run(["git", "http-backend"], input=body, capture_output=True, check=False, env=env)
        head, _, data = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines() if ": " in line)
        self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
        for key, value in headers.items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def package_charts(helm: Path, target: Path, *, url: str) -> None:
    """The stand-in charts as a Helm repository."""
    target.mkdir(parents=True, exist_ok=True)
    for chart in sorted(CHARTS.iterdir()):
        subprocess.run([helm, "package", chart, "--destination", target], check=True, capture_output=True)
    subprocess.run([helm, "repo", "index", target, "--url", url], check=True, capture_output=True)

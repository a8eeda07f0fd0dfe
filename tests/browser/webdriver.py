"""A real Chromium, driven through chromedriver by the W3C WebDriver protocol. Standard library only."""

import json
import re
import subprocess
import tempfile
import urllib.error
import urllib.request

FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server",
]


def started_driver(log_path, attempts=5):
    """The process and its port. It takes a free port of IPv6, and gives up when the same one of IPv4 is somebody's."""
    said = []
    for _ in range(attempts):
        driver = subprocess.Popen(
            ["chromedriver", "--port=0", f"--log-path={log_path}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for line in driver.stdout:
            said.append(line)
            started = re.search(r"started successfully on port (\d+)", line)
            if started:
                return driver, started[1]
        driver.wait()
    raise RuntimeError("chromedriver does not start: " + "".join(said))


class Browser:
    """One window. `visit` waits for the page; `run` waits for the promise of a script."""

    def __init__(self, flags=(), log_path="/dev/null"):
        self.profile = tempfile.TemporaryDirectory(prefix="sluice-chromium-", ignore_cleanup_errors=True)
        self.driver, port = started_driver(log_path)
        self.base = f"http://127.0.0.1:{port}/session"
        options = {"args": [*FLAGS, f"--user-data-dir={self.profile.name}", *flags]}
        answer = self.call("POST", "", {"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options, "timeouts": {"script": 30_000}}}})
        self.base += "/" + answer["sessionId"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method, headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path or 'new session'}: {json.load(error)['value']['message']}") from None

    def visit(self, url):
        self.call("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """The value of an async function's body, called with `a` as the list of arguments."""
        wrapped = (
            "const done = arguments[arguments.length - 1]; const a = Array.from(arguments).slice(0, -1);"
            f"(async () => {{ {script} }})().then(value => done({{ value }}), error => done({{ error: String(error) }}));"
        )
        answer = self.call("POST", "/execute/async", {"script": wrapped, "args": list(arguments)})
        if "error" in answer:
            raise RuntimeError(f"the script failed: {answer['error']}")
        return answer.get("value")

    def close(self):
        try:
            self.call("DELETE", "")
        finally:
            self.driver.terminate()
            self.driver.wait(30)
            self.profile.cleanup()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

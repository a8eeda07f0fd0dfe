"""Other people's web pages in a real Chromium must not reach the broker; curl and the broker's own page must.

The hostile page is served from another port of this machine, which for a browser is the same site. Every attack is first
aimed at an open server, which shows that the attack as such works; then at the broker, whose state must stay as it was.
"""

import json
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from broker import free_ports, new_broker
from scenarios import Scenarios, await_until, expect
from webdriver import Browser

# Each attack takes the address of an HTTP server and the name of a topic; it ends when the browser is through with it,
# however that went. `method` is what an open server sees of it.
ATTACKS = [
    ("a form posted as text/plain", "POST", """
        const form = Object.assign(document.createElement('form'), {action: `${a[0]}/topics/${a[1]}`, method: 'post', enctype: 'text/plain', target: 'frame'});
        form.append(Object.assign(document.createElement('input'), {name: '{"records":[{"value":"', value: 'form"}]}'}));
        const frame = Object.assign(document.createElement('iframe'), {name: 'frame'});
        document.body.append(frame, form);
        const loaded = new Promise(done => frame.addEventListener('load', done));
        form.submit();
        await loaded;"""),
    ("a form posted url-encoded to the whole window", "POST", """
        const form = Object.assign(document.createElement('form'), {action: `${a[0]}/topics/${a[1]}`, method: 'post', target: 'window'});
        form.append(Object.assign(document.createElement('input'), {name: 'value', value: 'form'}));
        const frame = Object.assign(document.createElement('iframe'), {name: 'window'});
        document.body.append(frame, form);
        const loaded = new Promise(done => frame.addEventListener('load', done));
        form.submit();
        await loaded;"""),
    ("fetch without CORS", "POST", "await fetch(`${a[0]}/topics/${a[1]}`, {method: 'POST', mode: 'no-cors', body: 'fetched'}).catch(() => 0);"),
    ("fetch with CORS", "POST", "await fetch(`${a[0]}/topics/${a[1]}`, {method: 'POST', body: 'fetched'}).catch(() => 0);"),
    ("fetch of a v2 request", "OPTIONS", """
        const headers = {'Content-Type': 'application/vnd.kafka.json.v2+json'};
        await fetch(`${a[0]}/topics/${a[1]}`, {method: 'POST', headers, body: '{"records":[{"value":1}]}'}).catch(() => 0);"""),
    ("deleting by fetch", "OPTIONS", "await fetch(`${a[0]}/topics/${a[1]}`, {method: 'DELETE'}).catch(() => 0);"),
    ("an image of a topic's records", "GET", """
        const image = new Image();
        const over = new Promise(done => { image.onload = image.onerror = done; });
        image.src = `${a[0]}/topics/${a[1]}/partitions/0/records?offset=0`;
        await over;"""),
    ("a beacon", "POST", """
        navigator.sendBeacon(`${a[0]}/topics/${a[1]}`, 'beacon');
        await fetch(`${a[0]}/topics/${a[1]}`, {mode: 'no-cors'}).catch(() => 0);"""),
    ("a script tag", "GET", """
        const script = document.createElement('script');
        const over = new Promise(done => { script.onload = script.onerror = done; });
        script.src = `${a[0]}/topics/${a[1]}`;
        document.body.append(script);
        await over;"""),
]
# A name that is not the broker's, and that the browser resolves to this machine: DNS rebinding.
FOREIGN_NAME = "rebound.example"


class Server(ThreadingHTTPServer):
    """The hostile page; and, as an open server, what an attack would reach: it notes every request."""

    def __init__(self, port):
        self.seen = []
        super().__init__(("localhost", port), Handler)
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.command, self.path))
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>page</title><body></body>")

    do_GET = do_POST = do_OPTIONS = do_DELETE = do_PUT = answer

    def log_message(self, *_):
        pass


def state(http):
    """All topics and the end of every partition, as the broker tells them to curl."""
    def get(path):
        return json.loads(subprocess.run(["curl", "-sSf", http + path], capture_output=True, text=True, check=True, timeout=30).stdout)

    topics = {}
    for topic in sorted(get("/topics")):
        partitions = get(f"/topics/{topic}")["partitions"]
        topics[topic] = [get(f"/topics/{topic}/partitions/{p['partition']}/offsets")["end_offset"] for p in partitions]
    return topics


def curl_produce(http, topic, body):
    subprocess.run(["curl", "-sSf", "-d", body, f"{http}/topics/{topic}"], capture_output=True, check=True, timeout=30)


class Play:
    def __init__(self, browser, broker, page, open_server):
        self.browser, self.broker, self.page, self.open_server = browser, broker, page, open_server
        self.page_url = f"http://localhost:{page.server_port}/"
        self.open_url = f"http://localhost:{open_server.server_port}"

    def attack(self, method, script, name):
        self.browser.visit(self.page_url)
        self.open_server.seen.clear()
        self.browser.run(script, self.open_url, "victim")
        await_until(lambda: any(m == method and p.startswith("/topics/victim") for m, p in self.open_server.seen), f"{name} reaches an open server", 10)
        before = state(self.broker.http)
        port = self.broker.http.rpartition(":")[2]
        for host in ("localhost", "127.0.0.1", "[::1]"):
            for topic in ("victim", "made-by-a-page"):
                self.browser.visit(self.page_url)
                self.browser.run(script, f"http://{host}:{port}", topic)
        after = state(self.broker.http)
        expect(after == before, f"{name} changed the broker: {before} became {after}")

    def kafka_port(self):
        before = state(self.broker.http)
        self.browser.visit(self.page_url)
        port = self.broker.bootstrap.rpartition(":")[2]
        self.browser.run("await fetch(`http://localhost:${a[0]}/`, {method: 'POST', mode: 'no-cors', body: new Uint8Array(4096)}).catch(() => 0);", port)
        expect(state(self.broker.http) == before, "a page's request to the Kafka port changed the broker")

    def rebinding(self):
        before = state(self.broker.http)
        port = self.broker.http.rpartition(":")[2]
        self.browser.visit(f"http://{FOREIGN_NAME}:{port}/docs")
        status = self.browser.run("return (await fetch('/topics/victim', {method: 'POST', body: 'rebound'})).status;")
        expect(status == 403, f"a page under a foreign name got {status} for a produce")
        expect(state(self.broker.http) == before, "a page under a foreign name changed the broker")

    def curl(self):
        before = state(self.broker.http)["victim"]
        curl_produce(self.broker.http, "victim", "by curl")
        expect(sum(state(self.broker.http)["victim"]) == sum(before) + 1, "a record that curl sent is not there")

    def own_page(self):
        before = sum(state(self.broker.http)["victim"])
        self.browser.visit(f"{self.broker.http}/docs")
        answer = self.browser.run("""
            const answer = document.getElementById('answer');
            const answered = new Promise(done => {
                const look = () => { if (answer.textContent.startsWith('HTTP')) done(answer.textContent); };
                new MutationObserver(look).observe(answer, {childList: true, characterData: true, subtree: true});
            });
            document.getElementById('topic').value = 'victim';
            document.getElementById('body').value = 'by the form of /docs';
            document.getElementById('send').click();
            return answered;""")
        expect(answer.startswith("HTTP 200"), f"the form of /docs got: {answer}")
        expect(sum(state(self.broker.http)["victim"]) == before + 1, "a record that the form of /docs sent is not there")


def main():
    scenarios = Scenarios("browser")
    page, open_server = Server(free_ports(1)), Server(free_ports(1))
    with new_broker("browser") as broker, Browser([f"--host-resolver-rules=MAP {FOREIGN_NAME} 127.0.0.1"]) as browser:
        play = Play(browser, broker, page, open_server)
        curl_produce(broker.http, "victim", "there before")
        for name, method, script in ATTACKS:
            scenarios.run(f"{name} changes nothing", lambda m=method, s=script, n=name: play.attack(m, s, n), broker)
        scenarios.run("a request of a page to the Kafka port changes nothing", play.kafka_port, broker)
        scenarios.run("a page under a name that was rebound is refused", play.rebinding, broker)
        scenarios.run("curl can produce", play.curl, broker)
        scenarios.run("the broker's own page can produce", play.own_page, broker)
    scenarios.finish()


if __name__ == "__main__":
    main()

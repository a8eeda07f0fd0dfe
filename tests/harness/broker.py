"""Starts, stops, kills and restarts a broker as a process of its own: ours, or Apache Kafka to check the checks.

Every test that needs a running broker uses this file, so that ports, readiness, kill -9 and logs are handled once.
A broker keeps its ports and its data folder over restarts; its log is one file over its whole life.

    python3 tests/harness/broker.py COMMAND...    runs COMMAND with BOOTSTRAP and HTTP of a fresh broker in its environment
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Below the range that the system gives to outgoing connections: a client that reconnects to a dead broker's port could
# otherwise be given that very port as its own and meet itself.
PORTS = range(20_000, 30_000)


def free_ports(count):
    """`count` neighbouring ports that nothing listens on, on IPv4 and IPv6."""
    for _ in range(1_000):
        first = random.randrange(PORTS.start, PORTS.stop - count)
        try:
            with contextlib.ExitStack() as sockets:
                for port in range(first, first + count):
                    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
                        with contextlib.suppress(OSError):
                            sock = sockets.enter_context(socket.socket(family, socket.SOCK_STREAM))
                        sock.bind((host, port))
            return first
        except OSError:
            continue
    raise RuntimeError("no free ports")


class Broker:
    """What both kinds have in common. `start` returns when the broker takes connections."""

    START_SECONDS_MAX = 60
    STOP_SECONDS_MAX = 30

    def __init__(self, work):
        self.work = os.path.abspath(work)
        os.makedirs(self.work, exist_ok=True)
        self.log_path = os.path.join(self.work, "broker.log")
        self.process = None
        self.ports = free_ports(2)

    def spawn(self):
        """Starts the process and does not wait for it."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.work, env=self.environment(),
            )

    def start(self):
        self.spawn()
        deadline = time.monotonic() + self.START_SECONDS_MAX
        while not self.is_ready():
            if self.process.poll() is not None:
                raise RuntimeError(f"the broker ended at start with code {self.process.returncode}:\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"the broker does not answer after {self.START_SECONDS_MAX} s:\n{self.log_tail()}")
            time.sleep(0.02)
        return self

    def stop(self):
        """SIGTERM; the broker ends by itself, with code 0 (Kafka's JVM: 143)."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(self.STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"the broker did not stop within {self.STOP_SECONDS_MAX} s:\n{self.log_tail()}") from None
        self.process = None
        if code not in (0, 143):
            raise RuntimeError(f"the broker stopped with code {code}:\n{self.log_tail()}")

    def kill(self):
        """kill -9, as a crash does it."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def log_tail(self, lines=60):
        with open(self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])

    def environment(self):
        return dict(os.environ)

    def partition_dir(self, topic, partition):
        return os.path.join(self.data_dir, f"{topic}-{partition}")

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, error, trace):
        if self.process is None:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()


class Sluice(Broker):
    """The binary that is tested, with three partitions for topics made by themselves."""

    def __init__(self, work, settings=None):
        super().__init__(work)
        self.binary = os.environ.get("SLUICE_BIN") or shutil.which("sluice")
        self.data_dir = os.path.join(self.work, "data")
        self.bootstrap = f"localhost:{self.ports}"
        self.http = f"http://localhost:{self.ports + 1}"
        self.settings = {"SLUICE_NUM_PARTITIONS": "3"} | (settings or {})

    def command(self):
        return [self.binary, "serve", "--kafka", self.bootstrap, "--http", self.http.removeprefix("http://"), "--data-dir", self.data_dir]

    def environment(self):
        return dict(os.environ) | self.settings

    def is_ready(self):
        try:
            with urllib.request.urlopen(f"{self.http}/health/ready", timeout=5) as answer:
                return answer.status == 200
        except (urllib.error.URLError, OSError):
            return False


class Kafka(Broker):
    """Apache Kafka, from `tests/kafka`. It has no HTTP port."""

    def __init__(self, work, settings=None):
        super().__init__(work)
        self.data_dir = os.path.join(self.work, "kafka", "data")
        self.bootstrap = f"127.0.0.1:{self.ports}"
        self.http = None

    def spawn(self):
        self.start()

    def start(self):
        settings = "num.partitions=3 log.cleaner.enable=false"
        environment = dict(os.environ) | {"KAFKA_EXTRA": settings, "KAFKA_HEAP": "512m"}
        with open(self.log_path, "ab") as log:
            # Not a pipe: the broker inherits it.
            started = subprocess.run(
                [os.path.join(ROOT, "tests", "kafka"), "start", os.path.join(self.work, "kafka"), str(self.ports)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, timeout=self.START_SECONDS_MAX, check=False,
            )
        if started.returncode:
            raise RuntimeError(f"Kafka does not start:\n{self.log_tail()}")
        with open(os.path.join(self.work, "kafka", "pid")) as pid:
            self.process = Stranger(int(pid.read()))
        return self

    def log_tail(self, lines=60):
        path = os.path.join(self.work, "kafka", "server.log")
        with open(path if os.path.exists(path) else self.log_path, errors="replace") as log:
            return "".join(log.readlines()[-lines:])


class Stranger:
    """A process that is not our child, with the part of Popen's surface that `Broker` uses."""

    def __init__(self, pid):
        self.pid = pid
        self.returncode = 0

    def is_alive(self):
        """A zombie, which init has yet to collect, holds neither ports nor files."""
        try:
            with open(f"/proc/{self.pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] != "Z"
        except FileNotFoundError:
            return False

    def send_signal(self, number):
        os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def wait(self, timeout=30):
        deadline = time.monotonic() + timeout
        while self.is_alive():
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("kafka", timeout)
            time.sleep(0.05)
        return 0


def new_broker(name, settings=None):
    """A broker of the kind that TEST_BROKER names (sluice, kafka), not yet started, in a folder of its own."""
    parent = os.environ.get("SLUICE_TESTS_WORK") or tempfile.gettempdir()
    work = tempfile.mkdtemp(prefix=f"{name}-", dir=parent)
    kinds = {"sluice": Sluice, "kafka": Kafka}
    return kinds[os.environ.get("TEST_BROKER", "sluice")](work, settings)


def main():
    with new_broker("by-hand") as broker:
        environment = dict(os.environ) | {"BOOTSTRAP": broker.bootstrap, "HTTP": broker.http or ""}
        code = subprocess.run(sys.argv[1:], env=environment, check=False).returncode
        if code:
            print(broker.log_tail(), file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()

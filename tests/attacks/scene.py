"""What every attack has in common: a broker with a small budget, a bystander beside it, and what must hold all the while.

1. The broker lives: the same process, and no line in its log tells of a panic.
2. RssAnon never passes the budget plus 100 MB; it is sampled every 50 ms.
3. The bystander has each answer within a second (a build for development, which is several times slower: three).
4. Ten seconds after the attack a request of full size is served by both ports, and the memory is back.
5. SIGTERM ends the broker in order.

An attack only attacks, and says with `expect` what else must hold. That the broker refuses it, closes its connections or
does not answer in time is no failure by itself.
"""

import contextlib
import http.client
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
import time

from broker import Sluice, new_broker
from kafka_wire import ATTACKER, BYSTANDER, Connection
from scenarios import expect

HERE = os.path.dirname(os.path.abspath(__file__))
MB = 1 << 20
OVER_BUDGET_MB_MAX = 100
BACK_SECONDS_MAX = 10
SAMPLE_SECONDS = 0.05
# Here the broker is killed: the attack has won, and the machine is needed.
TOO_MUCH_MB = 2_000
# The bystander has to have been beside the attack for at least so long.
WATCHED_SECONDS_MIN = 3
# What one frame may have, and a body over HTTP that is decoded into records, in 64ths of the budget, a little below the
# limits: the frame's is IN, the records' is WORK (`broker/src/memory/split.rs`).
FULL_FRAME_PARTS, FULL_BODY_PARTS = 13, 4
# A body over HTTP has another limit of its own.
FULL_BODY_RECORDS_MAX = 9


def rss_anon_mb(pid):
    with open(f"/proc/{pid}/status") as status:
        for line in status:
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
    raise ProcessLookupError(f"process {pid} has ended")


class Vitals(threading.Thread):
    """Samples the memory of the broker for as long as it lives."""

    def __init__(self, process):
        super().__init__(daemon=True)
        self.process, self.pid, self.peak_mb, self.last_mb = process, process.pid, 0.0, 0.0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLE_SECONDS):
            try:
                self.last_mb = rss_anon_mb(self.pid)
            except (OSError, ProcessLookupError):
                return
            self.peak_mb = max(self.peak_mb, self.last_mb)
            if self.last_mb > TOO_MUCH_MB:
                # Nobody learns more from a machine that swaps.
                self.process.kill()


class Beside:
    """The bystander's process."""

    def __init__(self, broker, answer_seconds_max):
        environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join([HERE, os.environ.get("PYTHONPATH", "")])}
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "bystander.py"), str(broker.ports), str(broker.ports + 1), str(answer_seconds_max)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )
        expect(self.process.stdout.readline().strip() == "ready", "the bystander was not served before the attack began")

    def finish(self):
        report, _ = self.process.communicate("\n", timeout=90)
        return json.loads(report)

    def give_up(self):
        self.process.kill()
        self.process.wait()


class Scene:
    """A broker under attack. Connections that an attack opens here are closed when it is over."""

    def __init__(self, broker, budget_mb, long):
        self.broker, self.budget_mb, self.long = broker, budget_mb, long
        self.port, self.http_port = broker.ports, broker.ports + 1
        self.opened = []
        self.notes = {}
        # The largest request that is taken at all.
        self.full_frame_bytes = min(budget_mb * MB // 64 * FULL_FRAME_PARTS, 100 * MB)

    def size(self, quick, long):
        """How much of it: CI has minutes, `--long` has hours."""
        return long if self.long else quick

    def connect(self, **how):
        connection = Connection(self.port, **how)
        self.opened.append(connection)
        return connection

    def connect_http(self):
        """A bare socket to the HTTP port."""
        connection = Connection(self.http_port)
        self.opened.append(connection)
        return connection.socket

    def http(self, method, path, body=None, headers=None, timeout=60):
        """The status and the body of one exchange of the attacker's."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=timeout, source_address=(ATTACKER, 0))
        try:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def make_topic(self, name, partitions=1, configs=None):
        with Connection(self.port, timeout=60) as connection:
            topic = {"Name": name, "NumPartitions": partitions, "ReplicationFactor": 1}
            topic["Configs"] = [{"Name": key, "Value": value} for key, value in (configs or {}).items()]
            answer = connection.call("CreateTopics", 5, {"Topics": [topic], "TimeoutMs": 60_000})["Topics"][0]
            expect(answer["ErrorCode"] == 0, f"CreateTopics of {name}: {answer}")

    def produce(self, topic, batches, partition=0):
        """Produces batches, one a request, and returns the last error code."""
        code = 0
        with Connection(self.port, timeout=60) as connection:
            for batch in batches:
                data = [{"Name": topic, "PartitionData": [{"Index": partition, "Records": batch}]}]
                answer = connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 60_000, "TopicData": data})
                code = answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
        return code

    def hold(self, seconds):
        """Leaves everything as it is for a while: what stands open is the attack."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.broker.process.poll() is None:
            time.sleep(SAMPLE_SECONDS)

    def together(self, actions, seconds=60):
        """Runs actions at once, for at most so long. What the broker refuses or cuts ends its action."""
        errors = []

        def run(action):
            try:
                action()
            except (OSError, http.client.HTTPException):
                pass
            except Exception as error:  # noqa: BLE001: it is raised again by the thread that waits
                errors.append(error)

        threads = [threading.Thread(target=run, args=(action,), daemon=True) for action in actions]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + seconds
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if errors:
            raise errors[0]

    def close_all(self):
        for connection in self.opened:
            connection.close()
        self.opened.clear()


def serve_full_frame(scene):
    """One frame of full size, from somebody else: what stands in it is refused, but it had to be read for that."""
    with Connection(scene.port, source=BYSTANDER, timeout=BACK_SECONDS_MAX) as connection:
        data = [{"Name": "bystander", "PartitionData": [{"Index": 0, "Records": bytes(scene.full_frame_bytes)}]}]
        answer = connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 10_000, "TopicData": data})
        code = answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"]
        expect(code != 0, "a batch of zeros was taken")


def serve_full_body(scene):
    records = min(FULL_BODY_RECORDS_MAX, scene.budget_mb // 64 * FULL_BODY_PARTS)
    body = json.dumps({"records": [{"value": "v" * 1_000_000}] * records})
    connection = http.client.HTTPConnection("127.0.0.1", scene.http_port, timeout=BACK_SECONDS_MAX)
    with contextlib.closing(connection):
        connection.request("POST", "/topics/bystander-bulk", body, {"Content-Type": "application/vnd.kafka.text.v2+json"})
        answer = connection.getresponse()
        told = answer.read()
        expect(answer.status == 200, f"HTTP {answer.status} {told[:200]!r}")


class Judge:
    """Collects what did not hold: an attack that breaks three promises shall say all three."""

    def __init__(self, scene, vitals, stays_mb):
        self.scene, self.vitals, self.stays_mb = scene, vitals, stays_mb
        self.broken = []
        self.before_mb = rss_anon_mb(vitals.pid)

    def is_alive(self):
        process = self.scene.broker.process
        if process.poll() is None:
            return True
        self.broken.append(f"the broker ended with code {process.returncode}")
        return False

    def memory_bound(self):
        """Sampled all the while."""
        limit = self.scene.budget_mb + OVER_BUDGET_MB_MAX
        if self.vitals.peak_mb > limit:
            self.broken.append(f"RssAnon rose to {self.vitals.peak_mb:.0f} MB, above {limit} MB")

    def recovery(self):
        """Within ten seconds: served in full size on both ports, and the memory is back."""
        ended = time.monotonic()
        deadline = ended + BACK_SECONDS_MAX
        for what, serve in (("frame", serve_full_frame), ("body", serve_full_body)):
            error = f"no {what} was tried"
            while time.monotonic() < deadline:
                try:
                    serve(self.scene)
                    error = None
                    break
                except (OSError, AssertionError, ValueError, http.client.HTTPException) as refused:
                    error = f"{type(refused).__name__}: {refused}"
                    time.sleep(0.2)
            if error is not None:
                self.broken.append(f"a {what} of full size was not served within {BACK_SECONDS_MAX} s: {error}")
        bound = self.before_mb + self.stays_mb
        while self.vitals.last_mb > bound and time.monotonic() < deadline:
            time.sleep(SAMPLE_SECONDS)
        self.scene.notes["back_s"] = round(time.monotonic() - ended, 1)
        if self.vitals.last_mb > bound:
            self.broken.append(
                f"{BACK_SECONDS_MAX} s later RssAnon is {self.vitals.last_mb:.0f} MB; before the attack it was {self.before_mb:.0f} MB"
            )

    def bystander(self, report):
        for kind, told in report.items():
            for troubles in (told.get("late", []), told.get("wrong", [])):
                if troubles:
                    more = f" ({told['times']} times)" if told["times"] > 1 else ""
                    self.broken.append(f"bystander's {kind} {troubles[0]}{more}, worst {told['worst_ms']} ms")
            if kind != "pauses" and not told["answered"]:
                self.broken.append(f"bystander's {kind} was never answered")

    def log(self):
        with open(self.scene.broker.log_path, errors="replace") as log:
            panics = [line.strip() for line in log if "panicked" in line]
        self.broken.extend(f"the log says: {line}" for line in panics[:3])


class Confined(Sluice):
    """Our broker with a limit on open files, as a service manager sets one."""

    def __init__(self, work, settings, files_max):
        super().__init__(work, settings)
        self.files_max = min(files_max, resource.getrlimit(resource.RLIMIT_NOFILE)[1])

    def command(self):
        return ["prlimit", f"--nofile={self.files_max}:{self.files_max}", *super().command()]


def new_scene_broker(attack, budget_mb):
    settings = {"SLUICE_MEMORY_MAX_BYTES": str(budget_mb * MB), "SLUICE_NUM_PARTITIONS": "1"} | attack.settings
    broker = new_broker(attack.name, settings)
    return Confined(broker.work, settings, attack.files_max) if attack.files_max else broker


def play(attack, budget_mb, long, answer_seconds_max):
    """Plays one attack; the promises that it broke, and what was measured."""
    broker = new_scene_broker(attack, budget_mb).start()
    scene, beside = Scene(broker, budget_mb, long), None
    try:
        if attack.prepare:
            attack.prepare(scene)
        # What a broker keeps after its first large requests is not the attack's.
        serve_full_frame(scene)
        serve_full_body(scene)
        beside = Beside(broker, answer_seconds_max)
        vitals = Vitals(broker.process)
        vitals.start()
        judge = Judge(scene, vitals, attack.stays_mb)
        began = time.monotonic()
        try:
            attack.action(scene)
        except AssertionError as broken:
            judge.broken.append(str(broken))
        except OSError as error:
            judge.broken.append(f"the attack could not go on: {type(error).__name__}: {error}")
        scene.hold(WATCHED_SECONDS_MIN - (time.monotonic() - began))
        scene.notes["attack_s"] = round(time.monotonic() - began, 1)
        peak = vitals.peak_mb
        scene.close_all()
        if judge.is_alive():
            judge.recovery()
        report = beside.finish()
        beside = None
        judge.memory_bound()
        judge.bystander(report)
        if judge.is_alive() and not [b for b in judge.broken if "ended with" in b]:
            try:
                broker.stop()
            except RuntimeError as error:
                judge.broken.append(str(error).splitlines()[0])
        judge.log()
        scene.notes |= {
            "rss_before_mb": round(judge.before_mb), "rss_peak_mb": round(max(peak, vitals.peak_mb)), "rss_after_mb": round(vitals.last_mb),
            "worst_ms": {kind: told["worst_ms"] for kind, told in report.items()},
        }
        return list(dict.fromkeys(judge.broken)), scene.notes
    finally:
        scene.close_all()
        if beside is not None:
            beside.give_up()
        if broker.process is not None:
            broker.kill()
        # The log stays, the gigabytes go.
        shutil.rmtree(broker.data_dir, ignore_errors=True)

"""Somebody who only wants to work while others attack: a process of its own, every request on a new connection.

    bystander.py KAFKA_PORT HTTP_PORT ANSWER_SECONDS_MAX

Makes its topic and joins its group, prints `ready`, and goes on until a line comes on standard input. Then it prints one
JSON object: for each kind of request how many were answered, the slowest, those above the bound, and what went wrong.
A pause of this process itself (a busy machine) is measured and not counted against the broker.
"""

import http.client
import json
import sys
import threading
import time

from batches_made import plain
from kafka_wire import BYSTANDER, Connection

# How long an answer is waited for, so that a report says how late it was.
PATIENCE_SECONDS = 15
TOPIC, GROUP = "bystander", "bystanders"
# JSON, so that HTTP shows it as it is; large enough that a broker with a few bytes to spare has no room for it.
VALUE = b'"still here' + b"." * 20_000 + b'"'
BATCH = plain([VALUE])
BETWEEN_SECONDS = 0.1
REPORTED_MAX = 8


class Pauses(threading.Thread):
    """When this process itself did not run."""

    STEP, WORTH = 0.02, 0.1

    def __init__(self):
        super().__init__(daemon=True)
        self.found = []

    def run(self):
        before = time.monotonic()
        while True:
            time.sleep(self.STEP)
            now = time.monotonic()
            if now - before > self.WORTH:
                self.found.append((before, now))
            before = now

    def within(self, start, end):
        return sum(max(0.0, min(end, b) - max(start, a)) for a, b in self.found[-200:])


class Bystander:
    def __init__(self, kafka_port, http_port, answer_seconds_max):
        self.kafka_port, self.http_port, self.answer_seconds_max = kafka_port, http_port, answer_seconds_max
        self.stopping, self.pauses = threading.Event(), Pauses()
        self.member, self.generation, self.newcomers = "", -1, 0
        self.report = {}

    def connect(self):
        return Connection(self.kafka_port, source=BYSTANDER, timeout=PATIENCE_SECONDS)

    def prepare(self):
        with self.connect() as connection:
            topic = {"Name": TOPIC, "NumPartitions": 1, "ReplicationFactor": 1}
            connection.call("CreateTopics", 5, {"Topics": [topic], "TimeoutMs": 10_000}, client_id="bystander")
            self.member, self.generation = self.join(connection, GROUP)

    def join(self, connection, group):
        protocols = [{"Name": "range", "Metadata": b"bystander"}]
        body = {"GroupId": group, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "ProtocolType": "consumer", "Protocols": protocols}
        joined = connection.call("JoinGroup", 5, body)
        if joined["ErrorCode"] == 79:  # MEMBER_ID_REQUIRED
            joined = connection.call("JoinGroup", 5, body | {"MemberId": joined["MemberId"]})
        no_error(joined["ErrorCode"], "JoinGroup")
        member, generation = joined["MemberId"], joined["GenerationId"]
        assignments = [{"MemberId": member, "Assignment": b"all"}]
        synced = connection.call("SyncGroup", 3, {"GroupId": group, "GenerationId": generation, "MemberId": member, "Assignments": assignments})
        no_error(synced["ErrorCode"], "SyncGroup")
        return member, generation

    def produce(self):
        with self.connect() as connection:
            data = [{"Name": TOPIC, "PartitionData": [{"Index": 0, "Records": BATCH}]}]
            answer = connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 10_000, "TopicData": data})
            no_error(answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"], "Produce")

    def fetch(self):
        with self.connect() as connection:
            partition = {"Partition": 0, "CurrentLeaderEpoch": -1, "FetchOffset": 0, "PartitionMaxBytes": 65_536}
            answer = connection.call("Fetch", 11, {
                "MaxWaitMs": 0, "MinBytes": 1, "MaxBytes": 65_536, "SessionEpoch": -1,
                "Topics": [{"Topic": TOPIC, "Partitions": [partition]}],
            })
            part = answer["Responses"][0]["Partitions"][0]
            no_error(part["ErrorCode"], "Fetch")
            if not part["Records"]:
                raise AssertionError("Fetch: no records")

    def heartbeat(self):
        with self.connect() as connection:
            answer = connection.call("Heartbeat", 3, {"GroupId": GROUP, "GenerationId": self.generation, "MemberId": self.member})
            no_error(answer["ErrorCode"], "Heartbeat")

    def join_a_new_group(self):
        self.newcomers += 1
        group = f"newcomers-{self.newcomers}"
        with self.connect() as connection:
            member, _ = self.join(connection, group)
            no_error(connection.call("LeaveGroup", 1, {"GroupId": group, "MemberId": member})["ErrorCode"], "LeaveGroup")

    def http_produce(self):
        self.http("POST", f"/topics/{TOPIC}", VALUE)

    def http_fetch(self):
        answer = self.http("GET", f"/topics/{TOPIC}/partitions/0/records?offset=earliest&count=1", None)
        if VALUE not in answer:
            raise AssertionError(f"HTTP fetch: {answer[:200]!r}")

    def http(self, method, path, body):
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=PATIENCE_SECONDS)
        try:
            connection.request(method, path, body)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise AssertionError(f"{method} {path}: {answer.status} {content[:200]!r}")
            return content
        finally:
            connection.close()

    def keep_on(self, kind, action, between=BETWEEN_SECONDS, answers=1):
        told = self.report[kind] = {"answered": 0, "times": 0, "worst_ms": 0, "late": [], "wrong": []}
        began = time.monotonic()
        while not self.stopping.wait(between):
            start = time.monotonic()
            wrong = None
            try:
                action()
                told["answered"] += 1
            except (OSError, AssertionError, ValueError, http.client.HTTPException) as error:
                wrong = f"{type(error).__name__}: {error}"
            end = time.monotonic()
            seconds = end - start - self.pauses.within(start, end)
            told["worst_ms"] = max(told["worst_ms"], round(seconds * 1000))
            at = f"{start - began:.1f} s"
            told["times"] += wrong is not None or seconds > answers * self.answer_seconds_max
            if wrong is not None and len(told["wrong"]) < REPORTED_MAX:
                told["wrong"].append(f"at {at} after {seconds:.1f} s: {wrong}")
            if seconds > answers * self.answer_seconds_max and len(told["late"]) < REPORTED_MAX:
                told["late"].append(f"at {at}: {seconds:.2f} s")

    def play(self):
        self.pauses.start()
        self.prepare()
        kinds = {
            "produce": self.produce, "fetch": self.fetch, "heartbeat": self.heartbeat, "join": self.join_a_new_group,
            "http produce": self.http_produce, "http fetch": self.http_fetch,
        }
        self.produce()
        for kind, action in kinds.items():
            action()
            # To join a group and to leave it are four requests.
            between, answers = (1.0, 4) if kind == "join" else (BETWEEN_SECONDS, 1)
            threading.Thread(target=self.keep_on, args=(kind, action, between, answers), daemon=True, name=kind).start()
        print("ready", flush=True)
        sys.stdin.readline()
        self.stopping.set()
        for thread in threading.enumerate():
            if thread.name in kinds:
                thread.join(2 * PATIENCE_SECONDS)
                if thread.is_alive():
                    self.report[thread.name]["wrong"].append("was never answered")
        self.report["pauses"] = {"worst_ms": round(1000 * max((b - a for a, b in self.pauses.found), default=0))}
        print(json.dumps(self.report), flush=True)


def no_error(code, api):
    if code:
        raise AssertionError(f"{api}: error {code}")


if __name__ == "__main__":
    Bystander(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).play()

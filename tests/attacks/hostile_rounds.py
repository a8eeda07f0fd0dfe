"""What the lying client does: rounds, each with connections of its own and a seed of its own, so that one can be repeated.

A round speaks to the Kafka port or to HTTP. It never waits long: an answer that does not come is the next round's matter,
since the bystander judges whether others are served.
"""

import http.client
import json
import os
import socket
import urllib.parse

from hostile_values import GROUPS, ODD_TEXTS, TOPICS, Liar
from kafka_schema import schema
from kafka_wire import ATTACKER, Connection

ANSWER_SECONDS_MAX = 0.5
HTTP_SECONDS_MAX = 5.0
# Answers with this error tell of a bug: the broker did not foresee what happened.
UNKNOWN_SERVER_ERROR = -1
MODULE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "plugins", "catalog", "json-field", "json-field.wasm")

IN_PATHS = {
    "topic": TOPICS,
    "group": GROUPS,
    "partition": ["0", "1", "-1", "99999999999", "x"],
    "name": ["json-field", "none"],
}
PARAMETERS = {
    "acks": ["all", "0", "2"],
    "clamp": ["true"],
    "compression": ["gzip", "x"],
    "count": ["1", "0", "10000", "-1"],
    "detail": ["true"],
    "expected_offset": ["0"],
    "header.a": ["b"],
    "header.base64.a": ["!"],
    "internal": ["true"],
    "key": ["k", ""],
    "max_bytes": ["1", "1048576", "99999999999"],
    "offset": ["earliest", "latest", "0", "-1", "time:0", "9223372036854775807", "x"],
    "partition": ["0", "7"],
    "raw": ["true"],
    "timeout": ["0", "50"],
    "timestamp": ["0", "-1", "1e99"],
    "tombstone": ["true"],
}
MEDIA_TYPES = [
    "application/vnd.kafka.json.v2+json", "application/vnd.kafka.binary.v2+json", "application/vnd.kafka.avro.v2+json",
    "application/json", "application/x-ndjson", "text/plain",
]


def error_codes(value):
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "ErrorCode":
                yield inner
            else:
                yield from error_codes(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from error_codes(inner)


class Rounds:
    """The rounds of one worker, with what they counted and found."""

    def __init__(self, kafka_port, http_port, routes):
        self.kafka_port, self.http_port, self.routes = kafka_port, http_port, routes
        self.sent, self.answered, self.statuses, self.findings = {}, {}, {}, []
        with Connection(kafka_port) as connection:
            keys = connection.call("ApiVersions", 0, {})["ApiKeys"]
        names = {key: name for name, key in schema().keys.items()}
        self.offered = {names[row["ApiKey"]]: (max(row["MinVersion"], self.floor(row["ApiKey"])), row["MaxVersion"]) for row in keys}
        # What a round can be, and how often.
        self.kinds = [
            (self.single_requests, 6), (self.group_life, 5), (self.producer_life, 4), (self.fetch_session, 3), (self.topic_life, 2),
            (self.not_a_frame, 1), (self.http_requests, 4), (self.http_bytes, 1), (self.plugin_life, 0.2),
        ]

    @staticmethod
    def floor(key):
        """Produce is advertised from 0 on and spoken from 3 on, as by Kafka."""
        return schema().requests[key].versions[0]

    def play(self, seed):
        liar = Liar(seed)
        kind = liar.dice.choices([k for k, _ in self.kinds], [weight for _, weight in self.kinds])[0]
        try:
            kind(liar, seed)
        except (OSError, http.client.HTTPException):
            # Closed, refused or not answered: what a client that lies has to expect.
            self.statuses["cut"] = self.statuses.get("cut", 0) + 1

    def found(self, seed, what):
        if len(self.findings) < 20:
            self.findings.append(f"round {seed}: {what}")

    def connect(self):
        return Connection(self.kafka_port, timeout=ANSWER_SECONDS_MAX)

    def version(self, liar, api):
        low, high = self.offered[api]
        return liar.dice.randint(low, high)

    def exchange(self, connection, liar, seed, api, version=None, **given):
        """One request and its answer, which must be Kafka's; what it says is learnt."""
        version = self.version(liar, api) if version is None else version
        body = liar.request(api, version, **given)
        self.sent[api] = self.sent.get(api, 0) + 1
        connection.correlation += 1
        connection.socket.sendall(liar.frame(api, version, body, connection.correlation))
        if api == "Produce" and body.get("Acks") == 0:
            return {}
        data = connection.receive_bytes()
        try:
            _, answer = schema().answer(api, version, data)
        except (ValueError, UnicodeDecodeError, IndexError) as error:
            # A header that was bent may ask for another version, or another API.
            if liar.lies == 0:
                self.found(seed, f"the answer to {api} {version} is not Kafka's: {error}: {bytes(data[:200])!r}")
            return {}
        self.answered[api] = self.answered.get(api, 0) + 1
        if UNKNOWN_SERVER_ERROR in error_codes(answer):
            self.found(seed, f"{api} {version} was answered with UNKNOWN_SERVER_ERROR: {str(body)[:600]}")
        for learnt in ("MemberId", "GenerationId", "ProducerId", "ProducerEpoch", "SessionId"):
            if isinstance(answer.get(learnt), str | int):
                liar.learnt[learnt] = answer[learnt]
        return answer

    def single_requests(self, liar, seed):
        with self.connect() as connection:
            for _ in range(liar.dice.randint(1, 12)):
                api = liar.dice.choice(sorted(self.offered))
                version = self.version(liar, api) if liar.dice.random() < 0.97 else None
                if version is None:
                    connection.socket.sendall(schema().frame("ApiVersions", liar.dice.choice([-1, 99, 32767]), {}))
                    connection.receive_bytes()
                    continue
                self.exchange(connection, liar, seed, api, version)

    def group_life(self, liar, seed):
        """Members who come, are promised ids, go and come back, with and without a name that stays."""
        dice = liar.dice
        # Mostly a group that nobody is in yet: strangers who left without a word keep the others waiting.
        group, members = dice.choice([*GROUPS[:2], *(f"fuzz-group-{dice.randrange(500)}" for _ in range(6))]), [""]
        asking = ["DescribeGroups", "ListGroups", "FindCoordinator"]
        living = ["JoinGroup", "JoinGroup", "SyncGroup", "Heartbeat", "LeaveGroup", "OffsetCommit", "OffsetFetch"]
        with self.connect() as first, self.connect() as second:
            for api in ["JoinGroup", *dice.choices(living * 2 + asking, k=dice.randint(3, 20))]:
                given = {}
                if api in living and dice.random() < 0.95:
                    given = {"GroupId": group} | self.member_moves(liar, api, members)
                try:
                    answer = self.exchange(dice.choice([first, second]), liar, seed, api, **given)
                except TimeoutError:
                    # A join that waits: others of this group may go on meanwhile.
                    first.close()
                    second.close()
                    first, second = self.connect(), self.connect()
                    continue
                if answer.get("MemberId"):
                    members.append(answer["MemberId"])
            first.close()
            second.close()

    @staticmethod
    def member_moves(liar, api, members):
        """Fields that fit together, so that a group comes further than its first check."""
        dice, member = liar.dice, liar.dice.choice(members)
        if api == "JoinGroup":
            return {
                "version": dice.choice([3, 5, 5, 9]), "MemberId": dice.choice([member, ""]), "GroupInstanceId": dice.choice([None, "a", "b"]),
                "SessionTimeoutMs": dice.choice([6_000, 6_000, 60_000]), "RebalanceTimeoutMs": dice.choice([0, 0, 1, 60_000]),
                "ProtocolType": "consumer", "Protocols": [{"Name": "range", "Metadata": dice.choice([b"", b"", bytes(1_000)])}],
            }
        if api == "SyncGroup":
            return {"MemberId": member, "GroupInstanceId": None, "Assignments": [{"MemberId": member, "Assignment": b"some"}]}
        if api == "LeaveGroup":
            return {"version": dice.choice([1, 3]), "MemberId": member, "Members": [{"MemberId": member, "GroupInstanceId": dice.choice([None, None, "a"])}]}
        return {"MemberId": member} if api == "Heartbeat" else {}

    def producer_life(self, liar, seed):
        dice, topic = liar.dice, liar.dice.choice(TOPICS[:8])
        with self.connect() as connection:
            if dice.random() < 0.7:
                self.exchange(connection, liar, seed, "InitProducerId")
            for _ in range(dice.randint(1, 10)):
                api = dice.choice(["Produce", "Produce", "Produce", "Fetch", "ListOffsets", "DeleteRecords", "OffsetForLeaderEpoch"])
                given = {}
                if api == "Produce":
                    version = dice.randint(3, 12)
                    data = [{"Name": topic, "PartitionData": [{"Index": dice.choice([0, 0, 1]), "Records": liar.records()}]}]
                    given = {"version": version, "TransactionalId": None, "Acks": dice.choice([-1, 1, 0, 2]), "TopicData": data * dice.choice([1, 1, 3])}
                self.exchange(connection, liar, seed, api, **given)

    def fetch_session(self, liar, seed):
        dice = liar.dice
        with self.connect() as connection:
            for turn in range(dice.randint(1, 8)):
                one = {"CurrentLeaderEpoch": -1, "FetchOffset": dice.choice([0, 1, 50]), "PartitionMaxBytes": 4_096}
                parts = [one | {"Partition": number} for number in range(dice.randint(0, 4))]
                epoch = turn if dice.random() < 0.8 else dice.choice([-1, 0, 0x7FFFFFFF])
                given = {"version": dice.randint(7, 12), "SessionEpoch": epoch, "MaxWaitMs": dice.choice([0, 50])}
                if dice.random() < 0.7:
                    given["Topics"] = [{"Topic": dice.choice(TOPICS), "Partitions": parts}]
                self.exchange(connection, liar, seed, "Fetch", **given)

    def topic_life(self, liar, seed):
        with self.connect() as connection:
            connection.socket.settimeout(5)
            apis = [
                "CreateTopics", "CreatePartitions", "DescribeConfigs", "AlterConfigs", "IncrementalAlterConfigs", "Metadata",
                "DescribeTopicPartitions", "DeleteTopics",
            ]
            for api in liar.dice.choices(apis, k=liar.dice.randint(1, 6)):
                self.exchange(connection, liar, seed, api)

    def not_a_frame(self, liar, seed):
        with self.connect() as connection:
            connection.socket.sendall(liar.dice.choice([
                b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", liar.dice.randbytes(500), b"\0\0\0\x0c" + bytes(4), b"\0\0\0\0",
                b"\x16\x03\x01\x02\0\x01",
            ]))
            if liar.dice.random() < 0.5:
                connection.socket.shutdown(socket.SHUT_WR)
            connection.socket.settimeout(0.2)
            connection.receive_bytes()

    def http_requests(self, liar, seed):
        dice = liar.dice
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=HTTP_SECONDS_MAX, source_address=(ATTACKER, 0))
        try:
            for _ in range(dice.randint(1, 6)):
                method, path, body, headers = self.http_request(liar)
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                told = answer.read()
                self.statuses[str(answer.status)] = self.statuses.get(str(answer.status), 0) + 1
                if answer.status == 500:
                    self.found(seed, f"HTTP 500 to {method} {path[:200]} {headers} {str(body)[:300]}: {told[:300]!r}")
                if "json" in answer.headers.get("Content-Type", "") and answer.headers.get("Content-Type") != "application/x-ndjson" and told:
                    json.loads(told)
        except json.JSONDecodeError as error:
            self.found(seed, f"the answer to {method} {path[:200]} is not JSON: {error}: {told[:300]!r}")
        finally:
            connection.close()

    def http_request(self, liar):
        dice = liar.dice
        path, methods = dice.choice(self.routes)
        method = dice.choice(methods) if dice.random() < 0.95 else dice.choice(["PUT", "HEAD", "OPTIONS", "TRACE", "PATCH"])
        for key, choices in IN_PATHS.items():
            chosen = dice.choice(ODD_TEXTS if liar.is_lie() else choices)
            path = path.replace("{" + key + "}", urllib.parse.quote(chosen, safe=""))
        if dice.random() < 0.6:
            path += "?" + "&".join(f"{key}={dice.choice(PARAMETERS[key])}" for key in dice.choices(sorted(PARAMETERS), k=dice.randint(1, 4)))
        kind = dice.choice(MEDIA_TYPES)
        body = None if method in ("GET", "DELETE") else self.http_body(liar)
        headers = {"Content-Type": kind, "Accept": dice.choice(["*/*", kind, "application/x-ndjson"])}
        if liar.is_lie():
            headers |= {"Kafka-Key": "k" * 5_000, "Origin": "http://evil.example", "Expect": "100-continue"}
        return method, path, body, headers

    def http_body(self, liar):
        dice = liar.dice
        record = {
            "key": dice.choice([None, "a", 1]), "value": dice.choice([None, {}, "dmFsdWU=", [1] * 50]),
            "partition": dice.choice([0, 1, -1, 10**30]), "timestamp": dice.choice([0, -1]),
        }
        body = dice.choice([
            {"records": [record] * dice.choice([0, 1, 500])}, {"records": {}}, [], None,
            {"offsets": [{"topic": dice.choice(TOPICS), "partition": 0, "offset": dice.choice([0, -1, 2**63])}]},
            {"topic_name": dice.choice(TOPICS), "partitions_count": dice.choice([1, 0, -1, 10_001])},
            {"retention.ms": dice.choice(["1", "x", None, 1])},
        ])
        text = json.dumps(body).encode()
        if liar.is_lie():
            text = dice.choice([text[: len(text) // 2], b"[" * 100_000, liar.dice.randbytes(300), b'{"a":1e' + b"9" * 5_000 + b"}", text * 50])
        return text

    def http_bytes(self, liar, seed):
        dice = liar.dice
        with Connection(self.http_port, timeout=1) as connection:
            topic = dice.choice(TOPICS[:8])
            head = f"POST /topics/{topic} HTTP/1.1\r\nHost: localhost\r\n".encode()
            connection.socket.sendall(dice.choice([
                head + b"Transfer-Encoding: chunked\r\n\r\nFFFFFFFFFFFFFFFF\r\n",
                head + b"Content-Length: 18446744073709551615\r\n\r\n",
                head + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(500)) + b"\r\n",
                b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n",
                b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + dice.randbytes(500), dice.randbytes(2_000), b"\r\n" * 1_000,
            ]))
            connection.socket.recv(65_536)

    def plugin_life(self, liar, seed):
        with open(MODULE, "rb") as file:
            module = bytearray(file.read())
        for _ in range(liar.dice.choice([0, 1, 5])):
            module[liar.dice.randrange(len(module))] ^= 1 << liar.dice.randrange(8)
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20, source_address=(ATTACKER, 0))
        try:
            name = liar.dice.choice(["json-field", "bent"])
            connection.request("PUT", f"/plugins/{name}", bytes(module))
            status = connection.getresponse()
            status.read()
            settings = liar.dice.choice(["{}", '{"field":"a","bounds":[1]}', "["])
            config = {"sluice.partitioner": name, f"sluice.plugin.config.{name}": settings}
            connection.request("PATCH", f"/topics/{TOPICS[0]}/configs", json.dumps(config), {"Content-Type": "application/json"})
            connection.getresponse().read()
        finally:
            connection.close()

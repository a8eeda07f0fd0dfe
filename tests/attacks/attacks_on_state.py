"""Attacks on what stays: groups, promised ids, committed offsets, producers, index entries, topics that come and go."""

import itertools
import os
import struct
import time

import batches_made
from attack import attack
from kafka_schema import schema
from kafka_wire import BYSTANDER, Connection
from scenarios import expect

MB = 1 << 20


def share(items, lanes):
    """The items, dealt to so many lanes."""
    items = list(items)
    return [items[start::lanes] for start in range(lanes)]


def in_lanes(scene, items, lanes, work, seconds):
    """Deals the items to so many threads; each calls `work(lane, its items)`."""
    scene.together([lambda n=lane, i=dealt: work(n, i) for lane, dealt in enumerate(share(items, lanes))], seconds)


def pipelined(scene, api, version, bodies, ahead=64):
    """Sends them all on one connection, and counts answers."""
    with scene.connect(timeout=30) as connection:
        for _ in connection.pipeline(api, version, bodies, ahead):
            scene.notes["answers"] = scene.notes.get("answers", 0) + 1


def join_body(group, metadata=b"", member="", instance=None, **more):
    protocols = [{"Name": "range", "Metadata": metadata}]
    body = {"GroupId": group, "SessionTimeoutMs": 10_000, "RebalanceTimeoutMs": 10_000, "MemberId": member, "GroupInstanceId": instance}
    return body | {"ProtocolType": "consumer", "Protocols": protocols} | more


@attack("join-metadata", "fourteen JoinGroups with 90 MB of metadata, then with as much as a frame may have; the members go away")
def join_metadata(scene):
    for size in (90 * MB, 20 * MB, scene.full_frame_bytes):
        metadata = bytes(size)

        def join(number, metadata=metadata):
            with scene.connect(timeout=15) as connection:
                connection.call("JoinGroup", 3, join_body(f"heavy-{number}", metadata))

        scene.together([lambda n=number: join(n) for number in range(14)], 60)


@attack("join-metadata-piled", "members with a megabyte of metadata each, until somebody says no")
def join_metadata_piled(scene):
    def join(number):
        with scene.connect(timeout=10) as connection:
            for group in range(scene.size(30, 100)):
                connection.call("JoinGroup", 3, join_body(f"pile-{number}-{group}", bytes(MB)))

    scene.together([lambda n=number: join(n) for number in range(8)], 60)
    # Sessions of ten seconds: what nobody heartbeats for is gone after that.
    scene.hold(10)


@attack("static-metadata", "static members of one group, each with a megabyte, that come back under new ids")
def static_metadata(scene):
    def join(number):
        with scene.connect(timeout=5) as connection:
            for turn in range(scene.size(20, 60)):
                connection.call("JoinGroup", 5, join_body("statics", bytes(MB), instance=f"static-{number}-{turn}"))

    scene.together([lambda n=number: join(n) for number in range(8)], 40)
    scene.hold(10)


@attack("sync-assignments", "leaders that hand out assignments as large as a frame may be")
def sync_assignments(scene):
    def lead(number):
        with scene.connect(timeout=20) as connection:
            joined = connection.call("JoinGroup", 3, join_body(f"led-{number}"))
            assignment = [{"MemberId": joined["MemberId"], "Assignment": bytes(scene.full_frame_bytes)}]
            for _ in range(4):
                body = {"GroupId": f"led-{number}", "GenerationId": joined["GenerationId"], "MemberId": joined["MemberId"]}
                connection.call("SyncGroup", 3, body | {"Assignments": assignment})

    scene.together([lambda n=number: lead(n) for number in range(8)], 60)


@attack("promised-ids", "ids are promised to members of very many groups, and never used")
def promised_ids(scene):
    def ask(lane, groups):
        pipelined(scene, "JoinGroup", 5, (join_body(f"promised-{lane}-{number}") for number in groups))

    count = scene.size(40_000, 110_000)
    in_lanes(scene, range(count), 8, ask, scene.size(60, 240))


@attack("promised-ids-one-group", "ids are promised to very many members of one group")
def promised_ids_one_group(scene):
    count = scene.size(30_000, 200_000)
    scene.together([lambda: pipelined(scene, "JoinGroup", 5, (join_body("promised", member="") for _ in range(count // 8)))] * 8, scene.size(60, 240))


def commit_body(group, metadata=None, partitions=(0,), topic="bystander"):
    parts = [{"PartitionIndex": n, "CommittedOffset": 1, "CommittedLeaderEpoch": -1, "CommittedMetadata": metadata} for n in partitions]
    return {"GroupId": group, "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": topic, "Partitions": parts}]}


@attack("simple-commits", "commits of very many groups that nobody is a member of")
def simple_commits(scene):
    def commit(lane, groups):
        pipelined(scene, "OffsetCommit", 7, (commit_body(f"simple-{lane}-{number}") for number in groups))

    count = scene.size(30_000, 110_000)
    in_lanes(scene, range(count), 16, commit, scene.size(60, 300))


@attack("simple-commits-long-ids", "commits of groups whose names have thirty kilobytes")
def simple_commits_long_ids(scene):
    def commit(lane, groups):
        pipelined(scene, "OffsetCommit", 7, (commit_body(f"{lane}-{number}-" + "g" * 30_000) for number in groups), 8)

    count = scene.size(6_000, 30_000)
    in_lanes(scene, range(count), 8, commit, scene.size(60, 240))


@attack("commit-metadata", "300,000 commits with metadata", prepare=lambda scene: scene.make_topic("wide", 1_000))
def commit_metadata(scene):
    def commit(groups):
        bodies = (commit_body(f"noted-{number}", "m" * 440, range(1_000), "wide") for number in groups)
        pipelined(scene, "OffsetCommit", 7, bodies, 2)

    scene.together([lambda g=groups: commit(g) for groups in share(range(scene.size(200, 600)), 4)], scene.size(60, 240))


@attack("producer-ids", "batches of very many producer ids", prepare=lambda scene: scene.make_topic("crowded", 100))
def producer_ids(scene):
    value = batches_made.record(0)

    def produce(firsts):
        with scene.connect(timeout=30) as connection:
            for first in firsts:
                parts = [{"Index": n, "Records": batches_made.batch(value, 1, producer=(first * 100 + n, 0, 0))} for n in range(100)]
                connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": [{"Name": "crowded", "PartitionData": parts}]})

    scene.together([lambda f=firsts: produce(f) for firsts in share(range(scene.size(1_500, 10_000)), 4)], scene.size(60, 300))


@attack("producer-ids-asked", "very many producer ids are asked for, and never used")
def producer_ids_asked(scene):
    body = {"TransactionalId": None, "TransactionTimeoutMs": 1_000, "ProducerId": -1, "ProducerEpoch": -1}
    count = scene.size(40_000, 500_000)
    scene.together([lambda: pipelined(scene, "InitProducerId", 4, (body for _ in range(count // 8)))] * 8, scene.size(60, 240))


def prepare_dense(scene):
    with Connection(scene.port) as connection:
        topic = {"Name": "dense", "NumPartitions": 500, "ReplicationFactor": 1, "Configs": [{"Name": "index.interval.bytes", "Value": "0"}]}
        connection.call("CreateTopics", 5, {"Topics": [topic], "TimeoutMs": 60_000})


@attack("dense-index", "batches of one record in a topic with index.interval.bytes=0", prepare=prepare_dense, stays_mb=24)
def dense_index(scene):
    one = batches_made.plain([b"v"])
    parts = [{"Index": n, "Records": one} for n in range(500)]
    frame = schema().frame("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": [{"Name": "dense", "PartitionData": parts}]})

    def produce():
        with scene.connect(timeout=30) as connection:
            for _ in range(scene.size(300, 3_000)):
                connection.socket.sendall(frame)
                connection.receive_bytes()
                scene.notes["batches"] = scene.notes.get("batches", 0) + 500

    scene.together([produce] * 8, scene.size(60, 300))


def folder_bytes(folder, contains):
    total = 0
    for path, _, names in os.walk(folder):
        if contains in path:
            for name in names:
                try:
                    total += os.stat(os.path.join(path, name)).st_blocks * 512
                except OSError:
                    continue
    return total


@attack("topic-churn", "topics that are created and deleted, again and again", stays_mb=32)
def topic_churn(scene):
    def churn(lane):
        with scene.connect(timeout=30) as connection:
            for turn in range(scene.size(60, 1_000)):
                names = [f"churn-{lane}-{turn}-{n}" for n in range(4)]
                topics = [{"Name": name, "NumPartitions": 1, "ReplicationFactor": 1} for name in names]
                connection.call("CreateTopics", 5, {"Topics": topics, "TimeoutMs": 30_000})
                connection.call("DeleteTopics", 5, {"TopicNames": names, "TimeoutMs": 30_000})
                scene.notes["churned"] = scene.notes.get("churned", 0) + 4

    scene.together([lambda n=lane: churn(n) for lane in range(4)], scene.size(60, 400))
    scene.notes["metadata_kb"] = folder_bytes(scene.broker.data_dir, "meta") // 1024
    expect(scene.notes["metadata_kb"] < 4_096, f"the metadata log has {scene.notes['metadata_kb']} KB, and no topic is left")


@attack("config-churn", "the configs of a topic change again and again, each time by 200 KB", stays_mb=32)
def config_churn(scene):
    scene.make_topic("turning")

    def turn(lane):
        with scene.connect(timeout=30) as connection:
            for number in range(scene.size(40, 400)):
                value = {"Name": "sluice.plugin.config.none", "ConfigOperation": 0, "Value": '{"v":"' + f"{lane}{number}" + "x" * 200_000 + '"}'}
                answer = connection.call("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": "turning", "Configs": [value]}]})
                expect(answer["Responses"][0]["ErrorCode"] == 0, f"the config was refused: {answer}")

    scene.together([lambda n=lane: turn(n) for lane in range(4)], 60)


@attack("fetch-sessions", "fetch sessions are opened, each with a thousand partitions, and left", prepare=lambda scene: scene.make_topic("wide", 1_000), stays_mb=32)
def fetch_sessions(scene):
    parts = [{"Partition": n, "CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1024} for n in range(1_000)]
    frame = schema().frame("Fetch", 11, {"MaxBytes": 1024, "MinBytes": 0, "Topics": [{"Topic": "wide", "Partitions": parts}]})

    def open_them():
        for _ in range(scene.size(150, 1_500)):
            with scene.connect(timeout=10) as connection:
                connection.socket.sendall(frame)
                connection.receive_bytes()

    scene.together([open_them] * 8, 60)


@attack("waiting-polls", "long polls over a thousand partitions each, from hundreds of connections, while one partition moves", prepare=lambda scene: scene.make_topic("wide", 1_000))
def waiting_polls(scene):
    parts = [{"Partition": n, "CurrentLeaderEpoch": -1, "FetchOffset": 0, "PartitionMaxBytes": 1024} for n in range(1, 1_000)]
    parts.append({"Partition": 0, "CurrentLeaderEpoch": -1, "FetchOffset": 0, "PartitionMaxBytes": 1 << 20})
    body = {"MaxWaitMs": 20_000, "MinBytes": 1 << 30, "MaxBytes": 1 << 30, "SessionEpoch": -1, "Topics": [{"Topic": "wide", "Partitions": parts}]}
    frame = schema().frame("Fetch", 11, body)
    for _ in range(scene.size(200, 500)):
        try:
            scene.connect().socket.sendall(frame)
        except OSError:
            break
    deadline = time.monotonic() + scene.size(5, 20)
    with Connection(scene.port, source=BYSTANDER, timeout=15) as connection:
        data = [{"Name": "wide", "PartitionData": [{"Index": 0, "Records": batches_made.plain([b"moves"])}]}]
        turns = 0
        while time.monotonic() < deadline:
            began = time.monotonic()
            connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": data})
            expect(time.monotonic() - began < 1, "a produce to the watched partition took more than a second")
            turns += 1
    scene.notes["turns"] = turns


@attack("waiting-joins", "thousands of joins that wait for a member who does not come back", files_max=16_000)
def waiting_joins(scene):
    body = join_body("patient", bytes(10_000), RebalanceTimeoutMs=300_000, SessionTimeoutMs=300_000)
    with scene.connect(timeout=10) as leader:
        leader.call("JoinGroup", 3, body)
        frame = schema().frame("JoinGroup", 3, body)
        for _ in itertools.repeat(None, scene.size(2_000, 8_000)):
            try:
                scene.connect().socket.sendall(frame)
            except OSError:
                break
        scene.hold(scene.size(4, 20))


@attack("acks-not-awaited", "produce requests with acks=0, and requests whose answers nobody waits for")
def acks_not_awaited(scene):
    value = batches_made.plain([bytes(900_000)])
    data = [{"Name": "flooded", "PartitionData": [{"Index": 0, "Records": value}]}]
    scene.make_topic("flooded", configs={"retention.bytes": str(16 * MB), "segment.bytes": str(8 * MB)})
    frames = [schema().frame("Produce", 9, {"Acks": acks, "TimeoutMs": 1_000, "TopicData": data}) for acks in (0, 1, -1)]

    def send(frame):
        connection = scene.connect(timeout=3, receive_buffer=4096)
        deadline = time.monotonic() + scene.size(3, 10)
        while time.monotonic() < deadline:
            connection.socket.sendall(frame)

    scene.together([lambda f=frame: send(f) for frame in frames * 3], 30)
    scene.notes["frame"] = struct.unpack(">i", frames[0][:4])[0]

"""Attacks on what everybody shares: the threads, the timer, the one thread that commits, the table of files."""

import os
import time

import batches_made
from attack import attack
from attacks_on_state import join_body
from kafka_schema import schema
from kafka_wire import BYSTANDER, Connection
from scenarios import await_until, expect


@attack("timer-hang", "five small requests to one group")
def timer_hang(scene):
    with scene.connect(timeout=5) as connection:
        static = {"instance": "a", "RebalanceTimeoutMs": 60_000}
        joined = connection.call("JoinGroup", 5, join_body("hung", **static))
        member = joined["MemberId"]
        assignments = [{"MemberId": member, "Assignment": b"a"}]
        sync = {"GroupId": "hung", "GenerationId": joined["GenerationId"], "MemberId": member, "GroupInstanceId": "a", "Assignments": assignments}
        connection.call("SyncGroup", 3, sync)
        connection.call("JoinGroup", 5, join_body("hung", instance="a", RebalanceTimeoutMs=0))
        promised = connection.call("JoinGroup", 5, join_body("hung"))["MemberId"]
        connection.call("LeaveGroup", 3, {"GroupId": "hung", "Members": [{"MemberId": promised, "GroupInstanceId": None}]})
    scene.hold(3)


@attack("timer-extremes", "joins with every strange time-out, in groups that rebalance")
def timer_extremes(scene):
    extremes = [0, 1, -1, 2**31 - 1, -(2**31), 6_000, 1_800_000]

    def join(group, session, rebalance, instance):
        with scene.connect(timeout=2) as connection:
            times = {"SessionTimeoutMs": session, "RebalanceTimeoutMs": rebalance}
            joined = connection.call("JoinGroup", 5, join_body(group, instance=instance, **times))
            if joined["ErrorCode"] == 79:
                connection.call("JoinGroup", 5, join_body(group, member=joined["MemberId"], **times))

    moves = [
        lambda g=f"extreme-{rebalance % 5}", s=session, r=rebalance, i=instance: join(g, s, r, i)
        for session in (6_000, 10_000, *extremes) for rebalance in extremes for instance in (None, "a", "b")
    ]
    for start in range(0, len(moves), 32):
        scene.together(moves[start : start + 32], 5)
    scene.hold(2)


@attack("rolling-beside-others", "a topic with segment.bytes=16384 rolls all the time beside two thousand partitions", prepare=lambda scene: scene.make_topic("others", 2_000))
def rolling_beside_others(scene):
    touch_all(scene, "others", 2_000)
    scene.make_topic("rolling", 4, {"segment.bytes": "16384", "retention.bytes": "1000000"})
    value = batches_made.plain([os.urandom(16_200)])
    deadline = time.monotonic() + scene.size(6, 30)

    def roll(partition):
        data = [{"Name": "rolling", "PartitionData": [{"Index": partition, "Records": value}]}]
        with scene.connect(timeout=20) as connection:
            while time.monotonic() < deadline:
                connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": data})
                scene.notes["rolls"] = scene.notes.get("rolls", 0) + 1

    scene.together([lambda p=partition: roll(p) for partition in range(4)], 60)


def storm(scene, frames, at_once, lasts, seconds_max):
    """Each frame on a connection of its own, so many at once, again and again for `lasts` seconds; answers are counted."""
    deadline = time.monotonic() + lasts

    def ask(frame):
        with scene.connect(timeout=20) as connection:
            while time.monotonic() < deadline:
                connection.socket.sendall(frame * at_once)
                for _ in range(at_once):
                    connection.receive_bytes()
                    scene.notes["answers"] = scene.notes.get("answers", 0) + 1

    scene.together([lambda f=frame: ask(f) for frame in frames], seconds_max)


def touch_all(scene, topic, partitions):
    """One record into every partition, by one request."""
    one = batches_made.plain([b"v"])
    data = [{"Name": topic, "PartitionData": [{"Index": n, "Records": one} for n in range(partitions)]}]
    with scene.connect(timeout=60) as connection:
        answer = connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 30_000, "TopicData": data})
        codes = {part["ErrorCode"] for part in answer["Responses"][0]["PartitionResponses"]}
        expect(codes == {0}, f"a record into every partition of {topic}: {codes}")


def prepare_crashed(scene):
    """Two thousand partitions of a broker that has been killed: each has its first append of the new term before it."""
    scene.make_topic("crashed", 2_000)
    touch_all(scene, "crashed", 2_000)
    scene.broker.kill()
    scene.broker.start()


@attack("first-appends-after-a-crash", "the first appends to two thousand partitions after kill -9", prepare=prepare_crashed)
def first_appends_after_a_crash(scene):
    began = time.monotonic()
    touch_all(scene, "crashed", 2_000)
    scene.notes["first_appends_s"] = round(time.monotonic() - began, 2)


def create_ten_thousand(scene):
    began = time.monotonic()
    with scene.connect(timeout=90) as connection:
        topic = {"Name": "ten-thousand", "NumPartitions": 10_000, "ReplicationFactor": 1}
        answer = connection.call("CreateTopics", 5, {"Topics": [topic], "TimeoutMs": 60_000})["Topics"][0]
    scene.notes["create_s"] = round(time.monotonic() - began, 2)
    scene.notes["create_code"] = answer["ErrorCode"]
    return answer


@attack("ten-thousand-partitions", "a topic with more partitions than there may be files: refused at once, and nothing stays", files_max=4_096)
def ten_thousand_partitions(scene):
    answer = create_ten_thousand(scene)
    expect(answer["ErrorCode"] != 0, "10,000 partitions were created with 4,096 files")
    expect(scene.notes["create_s"] < 1, f"the refusal took {scene.notes['create_s']} s: {answer['ErrorMessage']}")
    expect("4096" in answer["ErrorMessage"].replace(",", ""), f"the refusal does not name the limit: {answer['ErrorMessage']}")
    left = [name for name in os.listdir(scene.broker.data_dir) if name.startswith("ten-thousand")]
    expect(not left, f"{len(left)} folders of the refused topic stay")
    status, body = scene.http("POST", "/topics", b'{"topic_name":"ten-thousand","partitions_count":10000}', {"Content-Type": "application/json"})
    expect(400 <= status < 500, f"over HTTP: {status} {body[:200]!r}")
    with scene.connect() as connection:
        topics = connection.call("Metadata", 1, {"Topics": None})["Topics"]
    expect("ten-thousand" not in [topic["Name"] for topic in topics], "the refused topic is listed")


@attack("list-groups", "ListGroups and DescribeGroups, over and over, where groups have large members")
def list_groups(scene):
    def join(numbers):
        with scene.connect(timeout=30) as connection:
            for number in numbers:
                connection.call("JoinGroup", 3, join_body(f"listed-{number}", bytes(scene.size(10_000, 20_000)), SessionTimeoutMs=120_000))

    count = scene.size(400, 1_500)
    scene.together([lambda lane=lane: join(range(lane, count, 8)) for lane in range(8)], 60)
    asked = [schema().frame("ListGroups", 4, {}), schema().frame("DescribeGroups", 5, {"Groups": [f"listed-{n}" for n in range(count)]})]
    storm(scene, asked * 6, 4, scene.size(5, 20), 60)


@attack("metadata-storm", "all topics, asked for by many connections at once", prepare=lambda scene: scene.make_topic("wide", 2_000))
def metadata_storm(scene):
    frame = schema().frame("Metadata", 9, {"Topics": None})
    storm(scene, [frame] * 12, 8, scene.size(4, 20), 60)


@attack("large-produce-storm", "frames of full size, as fast as a dozen connections send them")
def large_produce_storm(scene):
    scene.make_topic("stormed", 64, {"retention.bytes": "16000000", "segment.bytes": "8000000"})
    value = batches_made.plain([bytes(900_000)])
    parts = [{"Index": n, "Records": value} for n in range(scene.full_frame_bytes // 920_000)]
    frame = schema().frame("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": [{"Name": "stormed", "PartitionData": parts}]})
    storm(scene, [frame] * 12, 1, scene.size(4, 20), 60)


@attack("stands-still", "sabotage: the process is stopped for five seconds", sabotage="bystander's heartbeat at ")
def stands_still(scene):
    import signal

    scene.hold(1)
    scene.broker.process.send_signal(signal.SIGSTOP)
    time.sleep(5)
    scene.broker.process.send_signal(signal.SIGCONT)


@attack("ends", "sabotage: the process is killed", sabotage="the broker ended with code -9")
def ends(scene):
    scene.broker.process.kill()
    await_until(lambda: scene.broker.process.poll() is not None, "the process ends", 5)


@attack("panics", "sabotage: a line about a panic in the log", sabotage="the log says: thread 'worker' panicked at nothing")
def panics(scene):
    with open(scene.broker.log_path, "a") as log:
        log.write("thread 'worker' panicked at nothing\n")


@attack("grows", "sabotage: more memory than the bound, and it stays", stays_mb=-1_000, sabotage="10 s later RssAnon is")
def grows(scene):
    scene.budget_mb = -95


@attack("grows-for-a-moment", "sabotage: more memory than the bound", sabotage="RssAnon rose to ")
def grows_for_a_moment(scene):
    scene.budget_mb = -95


@attack("group-table-is-shared", "a group that many heartbeat, sync and describe at once")
def group_table_is_shared(scene):
    with Connection(scene.port, source=BYSTANDER) as connection:
        joined = connection.call("JoinGroup", 3, join_body("busy"))
    asked = [
        schema().frame("Heartbeat", 3, {"GroupId": "busy", "GenerationId": 1, "MemberId": joined["MemberId"]}),
        schema().frame("DescribeGroups", 5, {"Groups": ["busy"] * 100}),
        schema().frame("OffsetFetch", 7, {"GroupId": "busy", "Topics": None}),
    ]
    storm(scene, asked * 3, 50, scene.size(3, 20), 40)

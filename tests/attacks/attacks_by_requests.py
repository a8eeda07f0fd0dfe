"""Attacks by one request: small as it is sent, large as it is decoded, or with an answer that is far larger than it is."""

from attack import attack
from kafka_schema import Raw, Repeated, schema
from kafka_wire import Closed

ELEMENTS = 190_000


def fire(scene, api, version, body, connections=4, times=1):
    """Sends the same request on some connections at once and reads what comes back, without decoding it."""
    frame = schema().frame(api, version, body)

    def send():
        with scene.connect(timeout=20) as connection:
            for _ in range(times):
                connection.socket.sendall(frame)
            for _ in range(times):
                size = len(connection.receive_bytes())
                scene.notes["answer_bytes"] = max(size, scene.notes.get("answer_bytes", 0))

    scene.notes["request_bytes"] = max(len(frame), scene.notes.get("request_bytes", 0))
    scene.together([send] * connections, 30)


@attack("produce-long-name", "Produce v9: a topic name of 7 MB over 190,000 partitions")
def produce_long_name(scene):
    partitions = Repeated({"Index": 0, "Records": None}, ELEMENTS)
    fire(scene, "Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": [{"Name": "n" * 7_000_000, "PartitionData": partitions}]})


@attack("fetch-long-name", "Fetch v12: a topic name of 20 KB over 190,000 partitions, also as forgotten topics")
def fetch_long_name(scene):
    partition = {"CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1024}
    asked = {"MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [{"Topic": "n" * 20_000, "Partitions": Repeated(partition, ELEMENTS)}]}
    fire(scene, "Fetch", 12, asked)
    asked["Topics"] = []
    asked["ForgottenTopicsData"] = [{"Topic": "n" * 20_000, "Partitions": Repeated(0, ELEMENTS)}]
    fire(scene, "Fetch", 12, asked)


@attack("long-names", "names of megabytes in every other API that has names")
def long_names(scene):
    name = "n" * 4_000_000
    many = 100_000
    asked = [
        ("ListOffsets", 6, {"Topics": [{"Name": name, "Partitions": Repeated({"Timestamp": -1}, many)}]}),
        ("Metadata", 9, {"Topics": [{"Name": name}], "AllowAutoTopicCreation": True}),
        ("OffsetCommit", 8, {"GroupId": name, "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": name, "Partitions": Repeated({}, many)}]}),
        ("OffsetFetch", 7, {"GroupId": name, "Topics": [{"Name": name, "PartitionIndexes": Repeated(0, many)}]}),
        ("FindCoordinator", 4, {"CoordinatorKeys": [name]}),
        ("JoinGroup", 9, {"GroupId": name, "SessionTimeoutMs": 10_000, "MemberId": name, "ProtocolType": name, "Protocols": [{"Name": name}]}),
        ("DescribeGroups", 5, {"Groups": [name]}),
        ("DeleteRecords", 2, {"Topics": [{"Name": name, "Partitions": Repeated({}, many)}]}),
        ("OffsetForLeaderEpoch", 4, {"Topics": [{"Topic": name, "Partitions": Repeated({}, many)}]}),
        ("CreateTopics", 7, {"Topics": [{"Name": name, "NumPartitions": 1, "ReplicationFactor": 1}], "TimeoutMs": 1_000}),
        ("DeleteTopics", 6, {"Topics": [{"Name": name}], "TimeoutMs": 1_000}),
        ("DescribeConfigs", 4, {"Resources": [{"ResourceType": 2, "ResourceName": name}]}),
        ("IncrementalAlterConfigs", 1, {"Resources": [{"ResourceType": 2, "ResourceName": name, "Configs": [{"Name": name, "Value": name}]}]}),
        ("CreatePartitions", 3, {"Topics": [{"Name": name, "Count": 2}]}),
        ("InitProducerId", 4, {"TransactionalId": name}),
        ("DescribeTopicPartitions", 0, {"Topics": [{"Name": name}], "ResponsePartitionLimit": 2_000}),
        ("ApiVersions", 3, {"ClientSoftwareName": name, "ClientSoftwareVersion": name}),
        ("LeaveGroup", 5, {"GroupId": name, "Members": Repeated({"MemberId": "m" * 1_000}, 10_000)}),
    ]
    scene.together([lambda a=a: fire(scene, *a, connections=1) for a in asked], 60)


@attack("metadata-repeated", "Metadata names one topic of 1,000 partitions 27,000 times", prepare=lambda scene: scene.make_topic("wide", 1_000))
def metadata_repeated(scene):
    for version in (1, 9, 12):
        fire(scene, "Metadata", version, {"Topics": Repeated({"Name": "wide"}, 27_000), "AllowAutoTopicCreation": False}, connections=2)


def prepare_repeated(scene):
    scene.make_topic("wide", 1_000)


@attack("repeated-names", "every API that has a list names the same thing in it again and again", prepare=prepare_repeated)
def repeated_names(scene):
    most = scene.size(60_000, ELEMENTS)
    part = {"Partition": 0, "CurrentLeaderEpoch": -1, "PartitionMaxBytes": 1 << 20}
    asked = [
        ("Fetch", 11, {"MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": [{"Topic": "bystander", "Partitions": Repeated(part, most)}]}),
        ("Fetch", 12, {"MaxBytes": 1 << 20, "SessionEpoch": -1, "Topics": Repeated({"Topic": "bystander", "Partitions": [part]}, most // 3)}),
        ("ListOffsets", 6, {"Topics": [{"Name": "bystander", "Partitions": Repeated({"Timestamp": -1}, most)}]}),
        ("ListOffsets", 7, {"Topics": [{"Name": "bystander", "Partitions": Repeated({"Timestamp": 1}, most)}]}),
        ("OffsetFetch", 7, {"GroupId": "bystanders", "Topics": [{"Name": "wide", "PartitionIndexes": Repeated(0, most)}]}),
        ("OffsetFetch", 8, {"Groups": Repeated({"GroupId": "bystanders", "Topics": None}, most // 2)}),
        ("OffsetCommit", 8, {"GroupId": "again", "GenerationIdOrMemberEpoch": -1, "Topics": [{"Name": "wide", "Partitions": Repeated({"PartitionIndex": 1}, most)}]}),
        ("DescribeGroups", 5, {"Groups": Repeated("bystanders", most)}),
        ("FindCoordinator", 4, {"CoordinatorKeys": Repeated("bystanders", most)}),
        ("DescribeConfigs", 4, {"Resources": Repeated({"ResourceType": 2, "ResourceName": "wide", "ConfigurationKeys": None}, most // 3), "IncludeDocumentation": True, "IncludeSynonyms": True}),
        ("DescribeTopicPartitions", 0, {"Topics": Repeated({"Name": "wide"}, most // 3), "ResponsePartitionLimit": 2_000}),
        ("DeleteRecords", 2, {"Topics": [{"Name": "wide", "Partitions": Repeated({"Offset": 0}, most)}], "TimeoutMs": 1_000}),
        ("OffsetForLeaderEpoch", 4, {"Topics": [{"Topic": "wide", "Partitions": Repeated({"CurrentLeaderEpoch": -1}, most)}]}),
        ("CreateTopics", 7, {"Topics": Repeated({"Name": "wide", "NumPartitions": 1, "ReplicationFactor": 1}, most // 3), "TimeoutMs": 1_000}),
        ("DeleteTopics", 5, {"TopicNames": Repeated("not there", most), "TimeoutMs": 1_000}),
        ("CreatePartitions", 3, {"Topics": Repeated({"Name": "wide", "Count": 1_000}, most // 3), "TimeoutMs": 1_000}),
        ("IncrementalAlterConfigs", 1, {"Resources": Repeated({"ResourceType": 2, "ResourceName": "wide", "Configs": []}, most // 3)}),
        ("LeaveGroup", 5, {"GroupId": "bystanders", "Members": Repeated({"MemberId": "nobody"}, most)}),
        ("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": [{"Name": "wide", "PartitionData": Repeated({"Records": None}, most)}]}),
        ("JoinGroup", 9, {"GroupId": "again", "SessionTimeoutMs": 10_000, "ProtocolType": "consumer", "Protocols": Repeated({"Name": "range"}, most)}),
        ("SyncGroup", 5, {"GroupId": "bystanders", "GenerationId": 1, "MemberId": "nobody", "Assignments": Repeated({"MemberId": "m"}, most)}),
        ("ListGroups", 5, {"StatesFilter": Repeated("Stable", most), "TypesFilter": Repeated("classic", most // 2)}),
    ]
    lanes = [asked[start::3] for start in range(3)]
    scene.together([lambda lane=lane: [fire_and_go_on(scene, a) for a in lane] for lane in lanes], 60)


def fire_and_go_on(scene, asked):
    fire(scene, *asked, connections=2)


@attack("many-topics-asked", "requests for 190,000 topics that do not exist")
def many_topics_asked(scene):
    names = Raw(b"")
    many = [f"t{number}" for number in range(scene.size(40_000, ELEMENTS))]
    fire(scene, "Metadata", 9, {"Topics": [{"Name": name} for name in many], "AllowAutoTopicCreation": False, "_": names}, connections=3)
    fire(scene, "DescribeGroups", 5, {"Groups": many}, connections=3)
    fire(scene, "FindCoordinator", 4, {"CoordinatorKeys": many}, connections=3)


@attack("tagged-fields", "a request with 190,000 tagged fields, and headers with as many")
def tagged_fields(scene):
    tags = {number + 100: b"" for number in range(ELEMENTS)}
    fire(scene, "Metadata", 9, {"Topics": [], "_tags": tags})
    fire(scene, "Fetch", 12, {"Topics": [{"Topic": "bystander", "Partitions": [], "_tags": tags}]})


@attack("http-many-records", "HTTP bodies that become far more than they are: small records, deep documents, long heads")
def http_many_records(scene):
    kind = {"Content-Type": "application/vnd.kafka.json.v2+json"}
    bodies = [
        b'{"records":[' + b",".join([b"{}"] * 3_000_000) + b"]}",
        b'{"records":[' + b",".join([b'{"value":0}'] * 99_000) + b"]}",
        b'{"records":[{"value":' + b"[" * 5_000_000 + b"]" * 5_000_000 + b"}]}",
        b'{"records":[{"headers":[' + b",".join([b'{"key":""}'] * 900_000) + b"]}]}",
    ]
    scene.together([lambda b=body: scene.http("POST", "/topics/bystander-bulk", b, kind) for body in bodies * 2], 60)


def closes(connection):
    """Whether the broker has closed this connection."""
    try:
        connection.receive_bytes()
    except Closed:
        return True
    return False

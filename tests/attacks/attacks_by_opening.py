"""Attacks by batches that are small as they are sent and stored, and large when somebody opens them: over HTTP, for a
delayed delivery, to find a time, to check records or to compress them anew."""

import contextlib
import http.client
import json
import time

import batches_made
from attack import attack
from kafka_wire import ATTACKER, BYSTANDER, Connection
from scenarios import expect

MB = 1 << 20
NOISE_BYTES = 900_000


def fill(topic, made, configs=None):
    """Makes the topic and writes the batches, then a record `the end`."""

    def prepare(scene):
        scene.make_topic(topic, configs=configs)
        write(scene, topic, made(scene))

    return prepare


def write(scene, topic, batches):
    for batch in batches:
        code = scene.produce(topic, [batch])
        expect(code == 0, f"a batch of {len(batch)} bytes was refused with {code}: nothing to open")
    expect(scene.produce(topic, [batches_made.plain([b'"the end"'])]) == 0, f"{topic} takes no more records")


def read_to_the_end(scene, topic, deadline_s=30):
    """Reads by HTTP, from answer to answer, as a patient client does; whether it met the last record."""
    offset, deadline = 0, time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        try:
            status, headers, body = ask(scene, topic, offset, 8 * MB)
        except (OSError, http.client.HTTPException) as error:
            status, headers, body = 0, {}, str(error).encode()
        if b"the end" in body:
            return True
        following = headers.get("Sluice-Next-Offset")
        if status == 200 and following is not None and int(following) > offset:
            offset = int(following)
        else:
            time.sleep(0.2)
    scene.notes[f"stuck_{topic}"] = f"at offset {offset}: {status} {body[:120]!r}"
    return False


def ask(scene, topic, offset, max_bytes=MB):
    """One fetch over HTTP: status, headers in whichever case, body."""
    connection = http.client.HTTPConnection("127.0.0.1", scene.http_port, timeout=20, source_address=(ATTACKER, 0))
    with contextlib.closing(connection):
        connection.request("GET", f"/topics/{topic}/partitions/0/records?offset={offset}&count=10000&max_bytes={max_bytes}")
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def read_over_and_over(scene, topic, seconds, readers=10):
    """Readers that ask for the same offsets again and again."""

    def read(offset):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            status, _, body = ask(scene, topic, offset)
            scene.notes.setdefault("statuses", {}).setdefault(str(status), 0)
            scene.notes["statuses"][str(status)] += 1
            scene.notes["answer_bytes"] = max(len(body), scene.notes.get("answer_bytes", 0))

    scene.together([lambda o=number: read(o) for number in range(readers)], seconds + 30)


def ten_of_100_mb(scene):
    return [batches_made.zeros(100, 1_000_000, noise_bytes=NOISE_BYTES)] * scene.size(3, 10)


@attack("open-by-http", "batches of 1 MB that open to 100 MB, read by ten clients over HTTP", prepare=fill("bombs", ten_of_100_mb))
def open_by_http(scene):
    read_over_and_over(scene, "bombs", scene.size(5, 20))
    expect(read_to_the_end(scene, "bombs", scene.size(60, 240)), f"a reader over HTTP never got past the batches {scene.notes}")


@attack("open-by-delay", "batches of 1 MB that open to 100 MB, in a delay topic", prepare=lambda scene: scene.make_topic("late"))
def open_by_delay(scene):
    scene.make_topic("late.delay.100ms")
    write(scene, "late.delay.100ms", [batches_made.zeros(20, 5_000_000, noise_bytes=NOISE_BYTES)] * scene.size(2, 10))
    scene.hold(scene.size(5, 20))


def one_of_200_mb(scene):
    return [batches_made.zeros(1, 200_000_000)]


@attack("record-of-200-mb", "one record of 200 MB, read over HTTP: a reader gets past it", prepare=fill("giant", one_of_200_mb))
def record_of_200_mb(scene):
    read_over_and_over(scene, "giant", 4, readers=4)
    expect(read_to_the_end(scene, "giant"), f"a reader over HTTP never got past the record: {scene.notes}")


@attack("record-of-200-mb-delayed", "one record of 200 MB in a delay topic: what follows is delivered")
def record_of_200_mb_delayed(scene):
    scene.make_topic("huge")
    scene.make_topic("huge.delay.100ms")
    write(scene, "huge.delay.100ms", one_of_200_mb(scene))
    expect(delivered(scene, "huge"), "the record behind the large one was never delivered")


def delivered(scene, topic, seconds=20):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        _, body = scene.http("GET", f"/topics/{topic}/partitions/0/records?offset=earliest&count=10000&max_bytes=1048576")
        if b"the end" in body:
            return True
        time.sleep(0.2)
    return False


def many_headers(scene):
    return [batches_made.empty_headers(scene.size(120, 300), 99_000)]


@attack("empty-headers", "hundreds of records of 99,000 empty headers in 7 KB, read over HTTP", prepare=fill("headers", many_headers))
def empty_headers(scene):
    read_over_and_over(scene, "headers", scene.size(4, 20))
    # An answer has one or two of them, and opens the batch from its beginning.
    expect(read_to_the_end(scene, "headers", 240), f"a reader over HTTP never got past the headers: {scene.notes}")


@attack("empty-headers-delayed", "hundreds of records of 99,000 empty headers in a delay topic, without any reader")
def empty_headers_delayed(scene):
    scene.make_topic("heads")
    scene.make_topic("heads.delay.100ms")
    write(scene, "heads.delay.100ms", many_headers(scene))
    scene.hold(scene.size(6, 20))


def many_tiny(_):
    return [batches_made.tiny_records(1_500_000)]


@attack("tiny-records", "a legal batch of a million and a half records: read, and found by time", prepare=fill("tiny", many_tiny, {"max.message.bytes": "4000000"}))
def tiny_records(scene):
    with scene.connect(timeout=20) as connection:
        for timestamp in (1_700_000_000_000, 1_699_999_999_999, -1, -2):
            answer = connection.call("ListOffsets", 6, {"Topics": [{"Name": "tiny", "Partitions": [{"Timestamp": timestamp, "CurrentLeaderEpoch": -1}]}]})
            part = answer["Topics"][0]["Partitions"][0]
            expected = 1_500_001 if timestamp == -1 else 0
            expect((part["ErrorCode"], part["Offset"]) == (0, expected), f"a look-up by time of {timestamp} answers {part}")
    read_over_and_over(scene, "tiny", 3)
    # Each of 150 answers opens the batch from its beginning.
    expect(read_to_the_end(scene, "tiny", 300), f"a reader over HTTP never got past the records: {scene.notes}")


@attack("look-ups-by-time", "look-ups by time that open batches of 100 MB, while others produce to topics that open batches", prepare=fill("times", ten_of_100_mb))
def look_ups_by_time(scene):
    scene.make_topic("checked", configs={"sluice.validate": "records", "compression.type": "gzip"})
    deadline = time.monotonic() + scene.size(5, 20)
    batch = batches_made.zeros(2, 1_000)
    asked = {"Topics": [{"Name": "times", "Partitions": [{"Timestamp": 1_700_000_000_000, "CurrentLeaderEpoch": -1}]}]}

    def look():
        with scene.connect(timeout=20) as connection:
            while time.monotonic() < deadline:
                connection.call("ListOffsets", 6, asked)

    def produce():
        worst = 0
        while time.monotonic() < deadline:
            began = time.monotonic()
            with Connection(scene.port, source=BYSTANDER) as connection:
                data = [{"Name": "checked", "PartitionData": [{"Index": 0, "Records": batch}]}]
                answer = connection.call("Produce", 9, {"Acks": -1, "TimeoutMs": 1_000, "TopicData": data})
            expect(answer["Responses"][0]["PartitionResponses"][0]["ErrorCode"] == 0, f"a producer was refused: {answer}")
            worst = max(worst, time.monotonic() - began)
            time.sleep(0.05)
        scene.notes["worst_checked_produce_ms"] = round(worst * 1000)
        expect(worst < 1, f"a produce that opens a small batch waited for {worst:.1f} s behind look-ups")

    scene.together([look] * 16 + [produce], 60)


@attack("open-by-produce", "batches that open to 250 MB, produced to topics that look at every record")
def open_by_produce(scene):
    scene.make_topic("checked", configs={"sluice.validate": "records"})
    scene.make_topic("anew", configs={"compression.type": "gzip"})
    bombs = [batches_made.zeros(240, 1_000_000), batches_made.tiny_records(900_000), batches_made.empty_headers(100, 99_000)]

    def produce(topic, batch):
        for _ in range(scene.size(2, 8)):
            scene.produce(topic, [batch])

    scene.together([lambda t=t, b=b: produce(t, b) for t in ("checked", "anew") for b in bombs], scene.size(60, 240))


def prepare_compacted(scene):
    """Sealed segments that compaction has to open: each batch begins a new one."""
    configs = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}
    scene.make_topic("thinned", configs=configs)
    bombs = [batches_made.zeros(90, 1_000_000, noise_bytes=NOISE_BYTES), batches_made.empty_headers(300, 99_000), batches_made.zeros(1, 200_000_000)]
    write(scene, "thinned", bombs + [batches_made.zeros(90, 1_000_000, noise_bytes=NOISE_BYTES)] * 2)


@attack("open-by-compaction", "batches that open to hundreds of megabytes, in a topic that is compacted", prepare=prepare_compacted)
def open_by_compaction(scene):
    """Compaction looks every 15 seconds for something to do."""
    scene.hold(scene.size(20, 60))


@attack("broken-compression", "streams that are cut, lie about their size, or are no streams")
def broken_compression(scene):
    good = batches_made.zeros(10, 1_000_000)
    scene.make_topic("broken")
    for codec in range(8):
        for cut in (62, 70, 100, len(good) // 2):
            records = good[61:cut] + bytes(range(200))
            made = batches_made.batch(records, 10)
            body = made[:21] + codec.to_bytes(2, "big") + made[23:]
            crc = batches_made.calc_crc32c(body[21:])
            scene.produce("broken", [body[:17] + crc.to_bytes(4, "big") + body[21:]])
    expect(scene.produce("broken", [batches_made.plain([b'"the end"'])]) == 0, "the topic takes no more records")
    answers = set()
    for offset in range(0, 300, 7):
        status, _, body = ask(scene, "broken", offset)
        answers.add(status)
        json.loads(body)
    scene.notes["statuses"] = sorted(answers)

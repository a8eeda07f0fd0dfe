"""Kafka's own message definitions as a codec: every API in every version, also with values that no client would send.

The definitions are the JSON files inside the kafka-clients jar that `tests/kafka install` fetches, so that nothing here is a
copy that grows old. A message is a dictionary with Kafka's field names; what is left out has its default. What a value must
not be can still be written: `Raw`, `Claimed` and `Repeated` stand in the place of any value. Never used to test that the
broker encodes correctly: the real clients do that.
"""

import functools
import glob
import json
import os
import re
import struct
import subprocess
import zipfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FIXED = {
    "bool": ">?", "int8": ">b", "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "int64": ">q", "float64": ">d",
}
NOT_EVER = (1, 0)
ABSENT = object()


class Raw(bytes):
    """These bytes, instead of what the type would become."""


class Claimed:
    """A length or count that says `length`, and behind it these bytes, whatever they are."""

    def __init__(self, length, content=b""):
        self.length, self.content = length, content


# A little more than the largest frame that any broker takes: repetitions within repetitions would fill this machine instead.
ARRAY_BYTES_MAX = 120_000_000


class Repeated:
    """An array with one element, `times` over: encoded once."""

    def __init__(self, element, times):
        self.element, self.times = element, times


def versions(text):
    """`3-13`, `0+`, `4` and `none` as a first and a last version."""
    if not text or text == "none":
        return NOT_EVER
    first, _, last = text.rstrip("+").partition("-")
    return int(first), 32767 if text.endswith("+") else int(last or first)


def within(bounds, version):
    return bounds[0] <= version <= bounds[1]


class Field:
    def __init__(self, source, structs):
        self.name = source["name"]
        self.array = source["type"].startswith("[]")
        self.type = source["type"].removeprefix("[]")
        self.versions = versions(source["versions"])
        self.nullable = versions(source.get("nullableVersions"))
        self.tag = source.get("tag")
        self.tagged = versions(source.get("taggedVersions"))
        # A field may say that it never is compact: the client id in request headers.
        self.flexible = versions(source["flexibleVersions"]) if "flexibleVersions" in source else None
        inner = source.get("fields") or structs.get(self.type)
        self.fields = [Field(field, structs) for field in inner] if inner else None
        self.default = self.default_of(source.get("default"))

    def default_of(self, text):
        if text == "null":
            return None
        if self.array:
            return []
        if self.fields is not None:
            return {}
        if self.type in ("string", "bytes", "records"):
            return text or "" if self.type == "string" else b""
        if self.type == "uuid":
            return bytes(16)
        if self.type == "bool":
            return str(text).lower() == "true"
        return float(text or 0) if self.type == "float64" else int(str(text or 0), 0)

    def is_tagged(self, version):
        return self.tag is not None and within(self.tagged, version)


def put_varint(out, number):
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)


class Message:
    """One request, response or header."""

    def __init__(self, source):
        self.name = source["name"]
        self.key = source.get("apiKey")
        self.versions = versions(source["validVersions"])
        self.flexible_versions = versions(source.get("flexibleVersions"))
        structs = {shared["name"]: shared["fields"] for shared in source.get("commonStructs", [])}
        self.fields = [Field(field, structs) for field in source["fields"]]

    def flexible(self, version):
        return within(self.flexible_versions, version)

    def encode(self, version, body):
        out = bytearray()
        put_fields(out, self.fields, version, self.flexible(version), body)
        return out

    def decode(self, version, data, at=0):
        """The message, and where it ended."""
        reader = Reader(data, at)
        return reader.fields(self.fields, version, self.flexible(version)), reader.at


def put_fields(out, fields, version, flexible, body):
    if isinstance(body, Raw):
        out += body
        return
    tags = {}
    for field in fields:
        if not within(field.versions, version):
            continue
        value = body.get(field.name, ABSENT)
        if field.is_tagged(version):
            if value is not ABSENT:
                inner = bytearray()
                put(inner, field, version, flexible, value)
                tags[field.tag] = inner
        else:
            put(out, field, version, flexible, field.default if value is ABSENT else value)
    if flexible:
        tags |= body.get("_tags", {})
        put_varint(out, len(tags))
        for tag in sorted(tags):
            put_varint(out, tag)
            put_varint(out, len(tags[tag]))
            out += tags[tag]


def put(out, field, version, flexible, value):
    if field.flexible is not None:
        flexible = within(field.flexible, version)
    if isinstance(value, Raw):
        out += value
    elif isinstance(value, Claimed):
        put_length(out, field, flexible, value.length)
        out += value.content
    elif field.array:
        put_array(out, field, version, flexible, value)
    else:
        put_one(out, field, version, flexible, value)


def put_length(out, field, flexible, length):
    if flexible:
        put_varint(out, (length + 1) & 0xFFFFFFFF)
    elif field.array or field.type != "string":
        out += struct.pack(">I", length & 0xFFFFFFFF)
    else:
        out += struct.pack(">H", length & 0xFFFF)


def put_array(out, field, version, flexible, value):
    if value is None:
        put_length(out, field, flexible, -1)
    elif isinstance(value, Repeated):
        element = bytearray()
        put_one(element, field, version, flexible, value.element, in_array=True)
        times = min(value.times, ARRAY_BYTES_MAX // max(1, len(element)))
        put_length(out, field, flexible, times)
        out += bytes(element) * times
    else:
        put_length(out, field, flexible, len(value))
        for element in value:
            put_one(out, field, version, flexible, element, in_array=True)


def put_one(out, field, version, flexible, value, in_array=False):
    if isinstance(value, Raw):
        out += value
    elif isinstance(value, Claimed):
        put_length(out, Element(field.type), flexible, value.length)
        out += value.content
    elif field.fields is not None:
        if within(field.nullable, version) and not in_array and not field.array:
            out += b"\xff" if value is None else b"\x01"
            if value is None:
                return
        put_fields(out, field.fields, version, flexible, value)
    elif field.type in ("string", "bytes", "records"):
        content = value.encode() if isinstance(value, str) else value
        plain = field if not in_array else Element(field.type)
        put_length(out, plain, flexible, -1 if content is None else len(content))
        out += content or b""
    elif field.type == "uuid":
        out += value
    else:
        out += struct.pack(FIXED[field.type], value)


class Element:
    """What an array of strings has inside, as a field of its own."""

    array = False

    def __init__(self, kind):
        self.type = kind


class Reader:
    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, count):
        if count < 0 or self.at + count > len(self.data):
            raise ValueError(f"{count} bytes at {self.at} of {len(self.data)}")
        self.at += count
        return self.data[self.at - count : self.at]

    def varint(self):
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
            shift += 7

    def length(self, wide, flexible):
        if flexible:
            return self.varint() - 1
        return struct.unpack(*((">i", self.take(4)) if wide else (">h", self.take(2))))[0]

    def fields(self, fields, version, flexible):
        body = {}
        for field in fields:
            if within(field.versions, version) and not field.is_tagged(version):
                body[field.name] = self.value(field, version, flexible)
        if flexible:
            known = {field.tag: field for field in fields if field.is_tagged(version)}
            for _ in range(self.varint()):
                tag, size = self.varint(), self.varint()
                end = self.at + size
                if tag in known:
                    body[known[tag].name] = self.value(known[tag], version, flexible)
                self.at = end
        return body

    def value(self, field, version, flexible):
        if field.flexible is not None:
            flexible = within(field.flexible, version)
        if not field.array:
            return self.one(field, version, flexible, within(field.nullable, version))
        count = self.length(True, flexible)
        return None if count < 0 else [self.one(field, version, flexible, False) for _ in range(count)]

    def one(self, field, version, flexible, nullable):
        if field.fields is not None:
            if nullable and self.take(1) == b"\xff":
                return None
            return self.fields(field.fields, version, flexible)
        if field.type in ("string", "bytes", "records"):
            length = self.length(field.type != "string", flexible)
            content = None if length < 0 else bytes(self.take(length))
            return content.decode() if content is not None and field.type == "string" else content
        if field.type == "uuid":
            return bytes(self.take(16))
        return struct.unpack(FIXED[field.type], self.take(struct.calcsize(FIXED[field.type])))[0]


class Schema:
    """All messages of one kafka-clients jar."""

    def __init__(self, jar):
        self.requests, self.responses = {}, {}
        with zipfile.ZipFile(jar) as files:
            for name in files.namelist():
                if not (name.startswith("common/message/") and name.endswith(".json")):
                    continue
                source = json.loads(re.sub(r"(?m)^\s*//.*$", "", files.read(name).decode()))
                if versions(source["validVersions"]) == NOT_EVER:
                    continue
                if source["type"] == "request":
                    self.requests[source["apiKey"]] = Message(source)
                elif source["type"] == "response":
                    self.responses[source["apiKey"]] = Message(source)
                elif source["name"] == "RequestHeader":
                    self.request_header = Message(source)
        self.keys = {message.name.removesuffix("Request"): key for key, message in self.requests.items()}

    def frame(self, api, version, body, correlation=0, client_id="attack"):
        """A request with its header and the four bytes of its length."""
        key = self.keys[api] if isinstance(api, str) else api
        message = self.requests[key]
        header = {"RequestApiKey": key, "RequestApiVersion": version, "CorrelationId": correlation, "ClientId": client_id}
        content = self.request_header.encode(2 if message.flexible(version) else 1, header)
        content += body if isinstance(body, Raw) else message.encode(version, body)
        return struct.pack(">i", len(content)) + content

    def answer(self, api, version, data):
        """The correlation id and the body of a response frame, without its length."""
        key = self.keys[api] if isinstance(api, str) else api
        message = self.responses[key]
        correlation = struct.unpack_from(">i", data)[0]
        at = 4
        # The header of ApiVersions' answer never has tagged fields (KIP-511).
        if message.flexible(version) and api not in ("ApiVersions", 18):
            reader = Reader(data, at)
            for _ in range(reader.varint()):
                reader.varint()
                reader.take(reader.varint())
            at = reader.at
        return correlation, message.decode(version, data, at)[0]


@functools.cache
def schema():
    """Kafka's definitions; fetches the jar if it is not there yet."""
    cache = os.environ.get("SLUICE_TESTS_CACHE") or os.path.expanduser("~/.cache/sluice-tests")
    pattern = os.path.join(cache, "kafka", "jars", "kafka-clients-*.jar")
    if not glob.glob(pattern):
        subprocess.run([os.path.join(ROOT, "tests", "kafka"), "install"], check=True, stdin=subprocess.DEVNULL)
    return Schema(glob.glob(pattern)[0])

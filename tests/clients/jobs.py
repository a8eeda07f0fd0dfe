"""Starts client programs and collects the lines that they print (README.md): a process each, or a thread of one JVM."""

import glob
import json
import os
import subprocess
import threading
import time

from broker import ROOT
from scenarios import expect

CLIENTS = os.path.join(ROOT, "tests", "clients")
CACHE = os.environ["SLUICE_TESTS_CACHE"]


class Job:
    """A running program: what it has told so far, and a way to wait for more."""

    def __init__(self, name):
        self.name = name
        self.acks = {}  # number of the record → (partition, offset), each None where the client does not tell
        self.failed = {}
        self.records = []  # (partition, offset, key, value) in the order of delivery
        self.output = []  # lines of Kafka's tools
        self.notes = []
        self.progress = 0
        self.done = False
        self.exit_code = None
        self.changed = threading.Condition()

    def take(self, line):
        with self.changed:
            if "ack" in line:
                self.acks[line["ack"]] = (line.get("p"), line.get("o"))
                self.progress = max(self.progress, len(self.acks))
            elif "k" in line:
                self.records.append((line["p"], line["o"], line["k"], line["v"]))
            elif "failed" in line:
                self.failed[line["failed"]] = line["error"]
            elif "progress" in line:
                self.progress = line["progress"]
            elif "out" in line:
                self.output.append(line["out"])
            elif "done" in line:
                self.done = True
            elif "exit" in line:
                self.exit_code = line["exit"]
            else:
                self.notes.append(line.get("note") or line.get("err") or str(line))
            self.changed.notify_all()

    def wait_until(self, condition, what, seconds=60):
        """Waits until the program has told enough; fails when it ends or the time passes before that."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while not condition():
                left = deadline - time.monotonic()
                expect(left > 0, f"{self.name}: after {seconds} s still not: {what}; {self.story()}")
                expect(self.exit_code is None, f"{self.name} ended before: {what}; {self.story()}")
                self.changed.wait(min(left, 0.5))

    def finish(self, seconds=90):
        """Waits for the end, which must be an orderly one."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while self.exit_code is None:
                left = deadline - time.monotonic()
                expect(left > 0, f"{self.name} does not end within {seconds} s; {self.story()}")
                self.changed.wait(min(left, 0.5))
        expect(self.done and self.exit_code == 0, f"{self.name} ended with code {self.exit_code}; {self.story()}")
        return self

    def stop_and_finish(self):
        self.stop()
        return self.finish(30)

    def story(self):
        failed = list(self.failed.items())[:3]
        return f"acks {len(self.acks)}, progress {self.progress}, records {len(self.records)}, failed {len(self.failed)} {failed}, notes {self.notes[-8:]}"


class Process(Job):
    """A program that is a process of its own."""

    def __init__(self, name, command):
        super().__init__(name)
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        readers = [threading.Thread(target=reader, daemon=True) for reader in (self.read_lines, self.read_complaints)]
        for reader in readers:
            reader.start()
        threading.Thread(target=self.reap, args=(readers,), daemon=True).start()

    def read_lines(self):
        for line in self.process.stdout:
            self.take(json.loads(line))

    def read_complaints(self):
        for line in self.process.stderr:
            self.take({"note": line.rstrip()})

    def reap(self, readers):
        for reader in readers:
            reader.join()
        self.take({"exit": self.process.wait()})

    def stop(self):
        try:
            self.process.stdin.write("stop\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended; finish() tells how.

    def abandon(self):
        self.process.kill()


class Program:
    """A client that is started anew for every job."""

    def __init__(self, *command):
        self.command = list(command)

    def start(self, name, action, options):
        return Process(name, [*self.command, action, *(f"{k}={v}" for k, v in options.items())])

    def close(self):
        pass


class JvmJob(Job):
    def __init__(self, name, jvm, number):
        super().__init__(name)
        self.jvm, self.number = jvm, number

    def stop(self):
        self.jvm.send(self.number, "stop")

    abandon = stop


class Jvm:
    """One JVM for all jobs of Java's clients and Kafka's tools, started at first use."""

    def __init__(self):
        self.process = None
        self.jobs = {}

    def open(self):
        jars = sorted(glob.glob(os.path.join(CACHE, "kafka", "jars", "*.jar")))
        path = ":".join([os.path.join(CACHE, "java"), *jars])
        config = os.path.join(CLIENTS, "java", "log4j2.properties")
        self.process = subprocess.Popen(
            ["java", "-Xmx512m", "-XX:+UseSerialGC", f"-Dlog4j2.configurationFile={config}", "-cp", path, "Main"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        threading.Thread(target=self.read_lines, daemon=True).start()

    def read_lines(self):
        for line in self.process.stdout:
            number, text = line.rstrip("\n").split("\t", 1)
            self.jobs[number].take(json.loads(text))
        for job in self.jobs.values():
            if job.exit_code is None:
                job.take({"exit": "the JVM ended"})

    def send(self, *fields):
        self.process.stdin.write("\t".join(fields) + "\n")
        self.process.stdin.flush()

    def start(self, name, action, arguments):
        if self.process is None:
            self.open()
        number = str(len(self.jobs))
        self.jobs[number] = JvmJob(name, self, number)
        self.send(number, action, *arguments)
        return self.jobs[number]

    def tool(self, name, *arguments, seconds=60):
        """Runs one of Kafka's tools to its end; its exit code and the lines that it printed."""
        job = self.start(name.rpartition(".")[2], "tool", [name, *arguments])
        with job.changed:
            expect(job.changed.wait_for(lambda: job.exit_code is not None, seconds), f"{name} does not end; {job.output[-10:]} {job.notes[-10:]}")
        return job

    def close(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(30)


class JvmProgram:
    """A client that lives in the JVM; `prefix` chooses between the clients and the console tools."""

    def __init__(self, jvm, prefix=""):
        self.jvm, self.prefix = jvm, prefix

    def start(self, name, action, options):
        return self.jvm.start(name, self.prefix + action, [f"{k}={v}" for k, v in options.items()])

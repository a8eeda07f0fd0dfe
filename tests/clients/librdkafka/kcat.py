"""kcat as one of the clients (see ../README.md): runs it and turns what it prints into the common lines.

kcat does not tell which record was acknowledged: it counts, and its exit code 0 says that all were. One kcat a
partition produces, because kcat chooses the partition for the whole run; -E has it outlive its broker.
"""

import re
import signal
import subprocess
import sys
import threading

from program import PARTITIONS, arguments, emit, numbers, stop_event, value_of


def produce(options):
    settings = {
        "compression.codec": options.get("codec", "none"),
        "enable.idempotence": options.get("idempotent", "false"),
        "acks": "all",
        "linger.ms": "5",
    }
    flags = [flag for key, value in settings.items() for flag in ("-X", f"{key}={value}")]
    command = ["kcat", "-b", options["bootstrap"], "-P", "-E", "-t", options["topic"], "-K", ":", "-vvv", *flags]
    kcats = [
        subprocess.Popen([*command, "-p", str(p)], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for p in range(PARTITIONS)
    ]
    progress, lock = [0], threading.Lock()

    def count_deliveries(kcat):
        for line in kcat.stderr:
            if line.startswith("% Message delivered"):
                with lock:
                    progress[0] += 1
                    emit(progress=progress[0])
            elif "ERROR" in line or "failed" in line.lower():
                print(line, end="", file=sys.stderr)

    counters = [threading.Thread(target=count_deliveries, args=(kcat,)) for kcat in kcats]
    for counter in counters:
        counter.start()
    sent = [[] for _ in kcats]
    for number in numbers(options):
        kcat = kcats[number % PARTITIONS]
        kcat.stdin.write(f"{number}:{value_of(number)}\n")
        kcat.stdin.flush()
        sent[number % PARTITIONS].append(number)
    for kcat in kcats:
        kcat.stdin.close()
    for counter in counters:
        counter.join()
    for kcat, theirs in zip(kcats, sent, strict=True):
        code = kcat.wait()
        for number in theirs:
            if code == 0:
                emit(ack=number)
            else:
                emit(failed=number, error=f"kcat ended with {code}")
    emit(done=True)


def consume(options):
    stop, wanted = stop_event(), int(options.get("count", "0"))
    limit = ["-c", str(wanted)] if wanted else []
    kcat = subprocess.Popen(
        ["kcat", "-b", options["bootstrap"], "-G", options["group"], "-E", "-u", "-K", "\t", "-f", "%p\t%o\t%k\t%s\n", *limit,
         "-X", "auto.offset.reset=earliest", options["topic"]],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )

    def leave():
        stop.wait()
        kcat.send_signal(signal.SIGTERM)

    def complain():
        for line in kcat.stderr:
            if not re.match(r"% (Group|Waiting|Reached)", line):
                print(line, end="", file=sys.stderr)

    for task in (leave, complain):
        threading.Thread(target=task, daemon=True).start()
    for line in kcat.stdout:
        partition, offset, key, value = line.rstrip("\n").split("\t")
        emit(p=int(partition), o=int(offset), k=key, v=value)
    code = kcat.wait()
    if code not in (0, -signal.SIGTERM):
        sys.exit(f"kcat ended with {code}")
    emit(done=True)


if __name__ == "__main__":
    action, options = arguments()
    {"produce": produce, "consume": consume}[action](options)

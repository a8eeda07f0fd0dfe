"""What the client programs in Python share: their arguments, their lines, and the signal to stop.

Every client program, whatever its language, is called and answers the same way (tests/clients/README.md):
`PROGRAM produce|consume key=value...`, one JSON object a line on standard output, and a line (or the end) of standard
input tells a consumer to commit and leave.
"""

import json
import sys
import threading
import time

PARTITIONS = 3
sys.stdout.reconfigure(line_buffering=True)


def arguments():
    """The action, and the options as text."""
    return sys.argv[1], dict(argument.split("=", 1) for argument in sys.argv[2:])


def emit(**line):
    sys.stdout.write(json.dumps(line) + "\n")


def value_of(number):
    """A record's value: long enough that every codec gains, different for every record."""
    return f"{number} {'sluice ' * 12}"


def numbers(options):
    """The numbers of the records to produce, at `rate` a second if that is not 0, in bursts of 10 ms."""
    first, count, rate = int(options["first"]), int(options["count"]), int(options.get("rate", "0"))
    started = time.monotonic()
    for done in range(count):
        if rate and done % max(1, rate // 100) == 0:
            ahead = done / rate - (time.monotonic() - started)
            if ahead > 0:
                time.sleep(ahead)
        yield first + done


def stop_event():
    """An event that is set when standard input has a line, or ends."""
    event = threading.Event()

    def wait():
        sys.stdin.readline()
        event.set()

    threading.Thread(target=wait, daemon=True).start()
    return event

"""Runs scenarios one after the other and reports each: a line for people, a line for `tests/run`.

A scenario is a function that raises when an expectation fails. What it printed and the end of the broker's log follow
the failure, so that a log of CI is enough to understand it.
"""

import os
import sys
import time
import traceback


class Scenarios:
    def __init__(self, suite):
        self.suite = suite
        self.failed = 0

    def run(self, name, action, broker=None):
        """Runs one; returns whether it passed."""
        started = time.monotonic()
        error = None
        try:
            action()
        except AssertionError as failure:
            error = f"{failure} (line {failure.__traceback__.tb_next.tb_lineno})"
        except Exception:  # noqa: BLE001: whatever goes wrong is this scenario's failure, and the next one is run
            error = traceback.format_exc()
        seconds = time.monotonic() - started
        verdict = "ok" if error is None else "FAILED"
        print(f"scenario {self.suite}: {name} {verdict} {seconds:.1f} s", flush=True)
        if error is not None:
            self.failed += 1
            print(error)
            if broker is not None:
                print(f"-- the end of the log of the broker in {broker.work}:\n{broker.log_tail()}", flush=True)
        results = os.environ.get("SLUICE_TESTS_RESULTS")
        if results:
            with open(results, "a") as out:
                out.write(f"{verdict} {seconds:.1f} {self.suite}: {name}\n")
        return error is None

    def finish(self):
        sys.exit(1 if self.failed else 0)


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def await_until(condition, what, seconds=30):
    """Polls for something that no event announces; its value when it is true."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {seconds} s still not: {what}")
        time.sleep(0.05)

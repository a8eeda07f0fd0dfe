"""The list of attacks. A file `attacks_*.py` adds its own by `@attack`; `run.py` plays them."""

ATTACKS = {}


class Attack:
    def __init__(self, name, what, action, **more):
        self.name, self.what, self.action = name, what, action
        # What is there before the attack begins: topics, records, honest members.
        self.prepare = more.pop("prepare", None)
        self.settings = more.pop("settings", {})
        self.files_max = more.pop("files_max", None)
        # Memory that the attack may leave behind: durable promises stay, up to the pool that bounds them.
        self.stays_mb = more.pop("stays_mb", 48)
        # The promise that this sabotage of the broker has to break, or the watching is worth nothing.
        self.sabotage = more.pop("sabotage", None)
        if more:
            raise TypeError(f"{name}: {more}")


def attack(name, what, **more):
    def add(action):
        if name in ATTACKS:
            raise ValueError(f"two attacks are called {name}")
        ATTACKS[name] = Attack(name, what, action, **more)
        return action

    return add

//! STUB to be replaced. Assembly only: opens, wires, spawns, drains. Rank 8.

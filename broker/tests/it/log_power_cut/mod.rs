//! The log against a simple model on a disk that forgets: random appends, rolls, syncs, failed writes and syncs, stops
//! at any operation, power cuts and restarts, some of them in the middle of a recovery. Whatever happens, what was
//! durable is there unchanged, what was ever readable is too, offsets have no holes, duplicates are known, and no
//! partition is damaged or lost.

mod model;

use std::sync::Arc;

use sluice_broker::clock::ManualClock;
use sluice_broker::ids::Offset;
use sluice_broker::log::io::faulty::{Dice, FaultyDisk, WriteFault};
use sluice_broker::log::{LogDir, LogDirSettings, LogError, Origin};

use crate::seeds::for_each_seed;
use model::{Model, TOPICS};

/// Lives of a broker on one disk.
const LIVES: u64 = 6;
/// Steps a life takes at most.
const STEPS: u64 = 40;

struct World {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    dice: Dice,
    runtime: tokio::runtime::Runtime,
    model: Model,
}

impl World {
    fn new(seed: u64) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime needs nothing");
        World {
            disk: FaultyDisk::new(),
            clock: Arc::new(ManualClock::at(1_000_000)),
            dice: Dice::new(seed),
            runtime,
            model: Model::default(),
        }
    }

    fn open_dir(&self) -> Result<Arc<LogDir>, LogError> {
        let disk = Arc::new(self.disk.clone());
        LogDir::open(LogDirSettings { path: "/data".into(), disk }, Arc::<ManualClock>::clone(&self.clock))
    }

    /// Opens everything that exists; may stop in the middle.
    fn open(&mut self) -> Option<Arc<LogDir>> {
        let dir = self.open_dir().ok()?;
        self.model.term += i32::from(dir.was_unclean());
        dir.begin_term(sluice_broker::ids::LeaderEpoch(self.model.term));
        let known = self.model.known();
        dir.set_aside_strays(&|id, _| known.contains(&id)).ok()?;
        self.model.open(&dir, &mut self.dice).then_some(dir)
    }

    /// The power goes, perhaps again and again while the log recovers; in the end it comes back.
    fn restart(&mut self, dir: Option<Arc<LogDir>>, by_power: bool) -> Arc<LogDir> {
        self.crash(dir, by_power);
        for _ in 0..self.dice.roll(4) {
            self.disk.stop_after(self.dice.roll(60));
            let dir = self.open();
            self.crash(dir, true);
        }
        self.open().expect("a disk that works again is opened")
    }

    fn crash(&mut self, dir: Option<Arc<LogDir>>, by_power: bool) {
        self.model.forget_open();
        let next = if by_power { self.disk.power_cut(self.dice.roll(u64::MAX)) } else { self.disk.kill() };
        drop(dir);
        self.disk = next;
        self.model.lost_power |= by_power;
    }

    fn fault(&mut self) {
        let nth = 1 + self.dice.roll(12);
        match self.dice.roll(6) {
            5 => self.disk.set_space(Some(0)),
            0 => self.disk.fail_sync(nth),
            1 => self.disk.fail_write(nth, WriteFault::Short),
            2 => self.disk.fail_write(nth, WriteFault::NoSpace),
            3 => self.disk.fail_write(nth, WriteFault::Io),
            _ => self.disk.stop_after(self.dice.roll(60)),
        }
    }

    fn live(&mut self, dir: &LogDir) {
        let faulty_life = self.dice.roll(3) > 0;
        for _ in 0..self.dice.roll(STEPS) {
            let topic = usize::try_from(self.dice.roll(TOPICS as u64)).expect("few topics");
            match self.dice.roll(24) {
                0 if faulty_life => self.fault(),
                1 => self.clock.advance_ms(61_000),
                8..=9 => self.disk.set_space(None),
                2 => self.model.remove(dir, topic),
                3..=5 => self.runtime.block_on(self.model.settle(topic)),
                6 => self.model.repeat(topic, &mut self.dice),
                7 => self.model.look(topic),
                _ => self.model.append(dir, topic, &mut self.dice),
            }
        }
        if self.dice.roll(2) == 0 {
            for topic in 0..TOPICS {
                self.runtime.block_on(self.model.settle(topic));
            }
        }
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut dir = world.restart(None, true);
    for _ in 0..LIVES {
        world.model.check_all();
        world.live(&dir);
        dir = match world.dice.roll(4) {
            0 => world.restart(Some(dir), false),
            1 => {
                let closed = dir.close().is_ok();
                world.model.closed(closed);
                world.restart(Some(dir), true)
            }
            _ => world.restart(Some(dir), true),
        };
    }
    world.model.check_all();
}

#[test]
fn rules_1_8_9_10_what_was_durable_or_readable_survives_every_failure() {
    for_each_seed(0..400, run);
}

/// Rule 9: after a failed sync the page cache shows what the disk never got, and the next sync of it succeeds.
#[test]
fn rule_9_recovery_rewrites_what_only_the_page_cache_has() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        let mut dir = world.restart(None, false);
        world.model.append(&dir, 0, &mut world.dice);
        world.runtime.block_on(world.model.settle(0));
        let partition = world.model.partition(0);
        let end = partition.offsets().hw;
        world.disk.fail_sync(1);
        world.model.append(&dir, 0, &mut world.dice);
        world.runtime.block_on(world.model.settle(0));
        assert!(matches!(partition.usable(), Err(LogError::Poisoned { .. })), "rule 8");
        let again = partition.append(model::batch("no", 1, None), Origin::Client);
        assert!(again.placed().is_err(), "rule 8: poisoned until restart");
        assert_eq!(partition.offsets().hw, end);
        drop(partition);
        // The process is killed: the page cache still has the batch, clean.
        dir = world.restart(Some(dir), false);
        let partition = world.model.partition(0);
        assert!(partition.offsets().hw >= end);
        world.model.look(0);
        drop(partition);
        let dir = world.restart(Some(dir), true);
        world.model.check_all();
        assert!(world.model.partition(0).offsets().hw > Offset::ZERO);
        drop(dir);
    }
}

//! What stands on the log against a model, on a disk that forgets: topics made, grown, reconfigured and deleted, blocks of
//! producer ids, committed offsets and the term, through the engine's own verbs, while writes and syncs fail, the disk
//! fills, stops at any operation and loses its power, some of it in the middle of a recovery. What was answered is there
//! afterwards; what was not is there whole or not at all; nothing is given twice and nothing comes back.

mod model;

use std::path::Path;
use std::sync::{Arc, OnceLock};

use sluice_broker::auth::Authorizer;
use sluice_broker::chain::Partitioners;
use sluice_broker::clock::{ManualClock, SharedClock};
use sluice_broker::config::BrokerConfig;
use sluice_broker::coordinator::group::Groups;
use sluice_broker::engine::Engine;
use sluice_broker::ids::{Offset, PartitionId, TimestampMs};
use sluice_broker::log::io::Disk;
use sluice_broker::log::io::faulty::{Dice, FaultyDisk, WriteFault};
use sluice_broker::log::{LogDir, LogDirSettings, Origin};
use sluice_broker::memory::Budget;
use sluice_broker::record::{Compression, Message, build};
use sluice_broker::topics::{Catalog, ConfigChange, ConfigOp, NewTopic};

use crate::seeds::for_each_seed;
use model::Model;

/// Lives of a broker on one disk.
const LIVES: u64 = 6;
/// Steps a life takes at most.
const STEPS: u64 = 40;
/// Operations within which a recovery is stopped: about what one takes here.
const RECOVERY_OPERATIONS: u64 = 400;
const DATA: &str = "/data";

/// What is open of a broker.
pub(crate) struct Open {
    pub(crate) log_dir: Arc<LogDir>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) engine: Arc<Engine>,
}

pub(crate) struct World {
    disk: FaultyDisk,
    clock: Arc<ManualClock>,
    dice: Dice,
    runtime: tokio::runtime::Runtime,
    model: Model,
}

fn partitioners() -> Arc<Partitioners> {
    static SHARED: OnceLock<(tempfile::TempDir, Arc<Partitioners>)> = OnceLock::new();
    let (_, partitioners) = SHARED.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let host = sluice_plugins::Host::open(sluice_plugins::HostConfig::new(dir.path())).expect("a host");
        (dir, Arc::new(Partitioners::new(Arc::new(host))))
    });
    Arc::clone(partitioners)
}

impl World {
    fn new(seed: u64) -> World {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
        World {
            disk: FaultyDisk::new(),
            clock: Arc::new(ManualClock::at(1_000_000)),
            dice: Dice::new(seed),
            runtime,
            model: Model::default(),
        }
    }

    /// Opens everything; what stands in the way is told as text.
    fn open(&mut self) -> Result<Open, String> {
        let settings = LogDirSettings { path: DATA.into(), disk: Arc::new(self.disk.clone()) };
        let clock: SharedClock = Arc::<ManualClock>::clone(&self.clock);
        let log_dir = LogDir::open(settings, Arc::clone(&clock)).map_err(|error| error.to_string())?;
        let unclean = log_dir.was_unclean();
        self.model.unclean |= unclean;
        let config = Arc::new(BrokerConfig { data_dir: DATA.into(), ..BrokerConfig::default() });
        let opened = self.runtime.block_on(async {
            let catalog = Catalog::open(Arc::clone(&log_dir), &config, Arc::clone(&clock)).await;
            let catalog = catalog.map_err(|error| error.to_string())?;
            let memory = Budget::new(config.memory_max_bytes);
            let state = memory.state().clone();
            let groups = Groups::open(Arc::clone(&catalog), &config, Arc::clone(&clock), state).await;
            let groups = groups.map_err(|error| error.to_string())?;
            let engine = Engine::new(
                config,
                clock,
                Arc::clone(&catalog),
                groups,
                partitioners(),
                Authorizer::granting_everything(),
                memory,
            );
            Ok::<_, String>(Open { log_dir, catalog, engine })
        })?;
        self.model.served(opened.catalog.term());
        Ok(opened)
    }

    /// The power goes or the process is killed, perhaps again and again during the recovery; in the end all is well.
    fn restart(&mut self, open: Option<Open>, by_power: bool) -> Open {
        self.crash(open, by_power);
        for _ in 0..self.dice.roll(3) {
            match self.dice.roll(4) {
                0 => self.disk.fail_sync(1 + self.dice.roll(20)),
                _ => self.disk.stop_after(self.dice.roll(RECOVERY_OPERATIONS)),
            }
            let open = self.open().ok();
            let by_power = self.dice.roll(4) > 0;
            self.crash(open, by_power);
        }
        let open = self.open().expect("a disk that works again is opened");
        self.runtime.block_on(self.model.reopened(&open, &self.disk));
        open
    }

    fn crash(&mut self, open: Option<Open>, by_power: bool) {
        // The disk is dead before anything can be written or synced on the way out.
        let next = if by_power { self.disk.power_cut(self.dice.roll(u64::MAX)) } else { self.disk.kill() };
        if let Some(open) = open {
            self.end(open);
        }
        self.disk = next;
    }

    fn end(&mut self, open: Open) {
        open.engine.begin_stop();
        self.runtime.block_on(open.engine.closed());
        self.runtime.block_on(open.catalog.closed());
    }

    fn fault(&mut self) {
        let nth = 1 + self.dice.roll(40);
        match self.dice.roll(8) {
            0..=1 => self.disk.fail_sync(nth),
            2 => self.disk.fail_write(nth, WriteFault::Short),
            3 => self.disk.fail_write(nth, WriteFault::NoSpace),
            4 => self.disk.fail_write(nth, WriteFault::Io),
            5 => self.disk.set_space(Some(0)),
            _ => self.disk.stop_after(self.dice.roll(150)),
        }
    }

    fn live(&mut self, open: &Open) -> bool {
        let faulty_life = self.dice.roll(4) > 0;
        for _ in 0..self.dice.roll(STEPS) {
            match self.dice.roll(8) {
                0 if faulty_life => self.fault(),
                1 => self.disk.set_space(None),
                _ => self.runtime.block_on(self.model.step(open, &self.disk, &mut self.dice)),
            }
        }
        faulty_life
    }

    /// A clean stop; the next start knows it as one, unless the disk stood in the way.
    fn close(&mut self, open: &Open, faulty_life: bool) {
        open.engine.begin_stop();
        self.runtime.block_on(open.engine.closed());
        self.runtime.block_on(open.catalog.closed());
        if open.log_dir.close().is_ok() && !faulty_life {
            self.model.closed(&self.disk);
        }
    }

    /// A directory that is no topic's: set aside, and never lost.
    fn stray(&mut self) {
        let name = format!("stranger{}-0", self.dice.roll(1_000_000));
        let dir = Path::new(DATA).join(&name);
        let put = || {
            self.disk.create_dir(&dir)?;
            self.disk.create(&dir.join("kept"))?;
            self.disk.sync_dir(&dir)?;
            self.disk.sync_dir(Path::new(DATA))
        };
        put().expect("a disk that works");
        self.model.strays.insert(name);
    }
}

fn run(seed: u64) {
    let mut world = World::new(seed);
    let mut open = world.restart(None, true);
    for _ in 0..LIVES {
        let faulty_life = world.live(&open);
        let by_power = world.dice.roll(4) > 0;
        if world.dice.roll(4) == 0 {
            world.close(&open, faulty_life);
            drop(open);
            if world.dice.roll(2) == 0 {
                world.disk = world.disk.kill();
                world.stray();
            }
            open = world.restart(None, by_power);
        } else {
            open = world.restart(Some(open), by_power);
        }
    }
    world.end(open);
}

#[test]
fn rules_5_6_16_17_what_was_answered_about_topics_ids_and_offsets_survives_every_failure() {
    for_each_seed(0..200, run);
}

/// A new topic costs several syncs. Whichever of them fails, the topic is there whole or not at all, in this run and the
/// next, and its name can be used.
#[test]
fn whichever_sync_of_a_creation_fails_the_topic_is_whole_or_not_there_and_its_name_is_free() {
    let mut failures = 0;
    for nth in 1..60 {
        let mut world = World::new(nth);
        let open = world.restart(None, true);
        world.disk.fail_sync(nth);
        let World { model, dice, disk, runtime, .. } = &mut world;
        let made = runtime.block_on(model.create(&open, disk, "a.delay.1s", dice));
        failures += u32::from(!made);
        // Again, in the same run: where the metadata log still takes records it works.
        let again = runtime.block_on(model.create(&open, disk, "a.delay.1s", dice));
        assert!(made || again || open.log_dir.first_failure().is_some(), "sync {nth}");
        let open = world.restart(Some(open), nth % 2 == 0);
        world.end(open);
    }
    assert!((5..59).contains(&failures), "{failures} of them are of a creation");
}

#[test]
fn a_topic_that_begins_to_sync_has_synced_what_it_held_when_that_is_answered() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let open = world.restart(None, true);
        world.runtime.block_on(async {
            let configs = vec![("sluice.flush".to_owned(), Some("os".to_owned()))];
            let wish = NewTopic { partitions: Some(1), configs, ..NewTopic::named("t") };
            let topic = open.catalog.create(wish).await.expect("made");
            let partition = topic.partition(PartitionId(0)).expect("it has one");
            for _ in 0..5 {
                let message = Message { value: Some("v".into()), ..Message::default() };
                let batch = build(&[message], TimestampMs(1), Compression::None, None).expect("a small batch is built");
                partition.append(batch, Origin::Client).placed().expect("appended");
            }
            let op = ConfigOp::Set("sync".to_owned());
            let change = ConfigChange { key: "sluice.flush".to_owned(), op };
            open.catalog.alter_configs("t", &[change], false).await.expect("changed");
        });
        world.crash(Some(open), true);
        let open = world.open().expect("a disk that works");
        let topic = open.catalog.topic("t").expect("it was made");
        let partition = topic.partition(PartitionId(0)).expect("it has one");
        assert_eq!(partition.offsets().hw, Offset(5), "seed {seed}");
        world.end(open);
    }
}

//! `sluice log repair` over hostile files: what it finds it can take out, in either way, and what is left is served.

use sluice_broker::log::LogDir;
use sluice_broker::log::repair::{Choice, Repair};

use super::directory::read_all;
use super::files::{clock, config, edited, ident, name, recovery_point, settings};

/// The first byte chooses the way; the rest are edits.
pub fn run(bytes: &[u8]) {
    let Some((choice, edits)) = bytes.split_first() else { return };
    let disk = edited(edits);
    let Ok(mut repair) = Repair::open(settings(&disk), clock()) else { return };
    let survey = repair.survey(&name(), &mut |_| {}).expect("a disk in memory can be read");
    let choice = if choice % 2 == 0 { Choice::Cut } else { Choice::Skip };
    let Ok(repaired) = repair.apply(&name(), &survey, choice) else { return };
    let after = repair.survey(&name(), &mut |_| {}).expect("a disk in memory can be read");
    assert_eq!(after.damages, [], "{choice:?} of {survey:?}");
    assert!(repaired.end <= survey.end, "{choice:?} of {survey:?} ends at {}", repaired.end);
    drop(repair);
    let trusted = recovery_point(&disk);
    let dir = LogDir::open(settings(&disk), clock()).expect("the repair opened it");
    let partition = dir.open_existing(ident(), config()).expect("trouble is the partition's state");
    if partition.usable().is_ok() {
        read_all(&partition, trusted, 1 << 20);
    }
}

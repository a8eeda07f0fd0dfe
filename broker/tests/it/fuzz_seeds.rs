//! The fuzz targets' bodies over their seeds, and over some edits made by dice: what the fuzzers have found stays found,
//! without their build. `fuzz/run` looks for more.

#![allow(dead_code, unreachable_pub, reason = "written for the fuzzers, which see more of it")]

#[path = "../../../fuzz/bodies/batches.rs"]
mod batches;
#[path = "../../../fuzz/bodies/directory.rs"]
mod directory;
#[path = "../../../fuzz/bodies/dump.rs"]
mod dump;
#[path = "../../../fuzz/bodies/files.rs"]
mod files;
#[path = "../../../fuzz/bodies/repair.rs"]
mod repair;

use std::path::Path;

use sluice_broker::log::io::faulty::Dice;

/// Inputs made by dice for each target.
const ROLLS: u64 = 150;

fn replay(target: &str, run: fn(&[u8])) {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds").join(target);
    let mut seen = 0;
    for entry in std::fs::read_dir(&seeds).unwrap() {
        let path = entry.unwrap().path();
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        seen += 1;
    }
    assert!(seen > 0, "{} is empty", seeds.display());
    let mut dice = Dice::new(seen);
    for _ in 0..ROLLS {
        let length = dice.roll(60);
        let bytes: Vec<u8> = (0..length).map(|_| dice.roll(256) as u8).collect();
        println!("{bytes:?}");
        run(&bytes);
    }
}

#[test]
fn what_fuzzers_found_in_batches_stays_found() {
    replay("batches", batches::run);
}

#[test]
fn what_fuzzers_found_in_partition_directories_stays_found() {
    replay("directory", directory::run);
}

#[test]
fn what_fuzzers_found_in_the_dump_tool_stays_found() {
    replay("dump", dump::run);
}

#[test]
fn what_fuzzers_found_in_repairs_stays_found() {
    replay("repair", repair::run);
}

//! The hostile disk is hostile in the ways it says, and in no other.

use super::*;

fn path(text: &str) -> &Path {
    Path::new(text)
}

#[test]
fn what_is_synced_survives_every_power_cut_and_what_is_not_may_go() {
    let (mut whole, mut gone, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let disk = FaultyDisk::new();
        disk.create_dir(path("/d")).unwrap();
        let file = disk.create(path("/d/f")).unwrap();
        file.write_at(b"kept", b"", 0).unwrap();
        file.sync_data().unwrap();
        disk.sync_dir(path("/d")).unwrap();
        disk.sync_dir(path("/")).unwrap();
        file.write_at(&[1; 10_000], b"", 4).unwrap();
        let after = disk.power_cut(seed);
        let bytes = after.bytes(path("/d/f")).unwrap();
        assert_eq!(&bytes[..4], b"kept", "seed {seed}");
        match bytes.iter().filter(|byte| **byte == 1).count() {
            10_000 => whole += 1,
            0 => gone += 1,
            _ => torn += 1,
        }
        assert!(file.write_at(b"x", b"", 0).is_err(), "the old disk is dead");
    }
    assert!(whole > 0 && gone > 0 && torn > 0, "{whole} {gone} {torn}");
}

#[test]
fn a_file_that_is_synced_but_whose_name_is_not_can_be_lost() {
    let found = (0..50).filter(|seed| {
        let disk = FaultyDisk::new();
        let file = disk.create(path("/f")).unwrap();
        file.sync_data().unwrap();
        disk.power_cut(*seed).open(path("/f")).is_ok()
    });
    assert!((1..50).contains(&found.count()));
}

#[test]
fn after_a_failed_sync_the_next_one_succeeds_and_the_bytes_are_lost_all_the_same() {
    let lost = (0..50).filter(|seed| {
        let disk = FaultyDisk::new();
        let file = disk.create(path("/f")).unwrap();
        disk.sync_dir(path("/")).unwrap();
        file.write_at(&[1; 4_096], b"", 0).unwrap();
        disk.fail_sync(1 + seed % 2);
        let (first, second) = (file.sync_data(), file.sync_data());
        assert!(first.is_err() != second.is_err());
        disk.power_cut(*seed).bytes(path("/f")).is_some_and(|bytes| bytes.is_empty())
    });
    assert!(lost.count() > 0);
}

#[test]
fn a_rename_is_all_or_nothing() {
    for seed in 0..50 {
        let disk = FaultyDisk::new();
        disk.create(path("/old")).unwrap().write_at(b"1", b"", 0).unwrap();
        disk.create(path("/new")).unwrap().write_at(b"2", b"", 0).unwrap();
        disk.sync_all_dirty(path("/")).unwrap();
        disk.rename(path("/old"), path("/new")).unwrap();
        let after = disk.power_cut(seed);
        let names: Vec<String> = after.list(path("/")).unwrap().into_iter().map(|entry| entry.name).collect();
        match after.bytes(path("/new")).unwrap().as_slice() {
            b"1" => assert_eq!(names, ["new"]),
            b"2" => assert_eq!(names, ["new", "old"]),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn chosen_writes_fail_are_short_or_find_no_room() {
    let disk = FaultyDisk::new();
    let file = disk.create(path("/f")).unwrap();
    disk.fail_write(1, WriteFault::Io);
    disk.fail_write(2, WriteFault::Short);
    assert!(file.write_at(b"1234", b"", 0).is_err());
    assert_eq!(file.len().unwrap(), 0);
    let short = file.write_at(b"12", b"34", 0).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::StorageFull);
    assert_eq!(file.len().unwrap(), 2);
    disk.set_space(Some(3));
    assert!(file.write_at(b"34", b"", 2).is_err());
    disk.set_space(None);
    file.write_at(b"34", b"", 2).unwrap();
    assert_eq!(disk.bytes(path("/f")).unwrap(), b"1234");
}

#[test]
fn a_killed_process_loses_nothing_and_a_stopped_machine_does_nothing_more() {
    let disk = FaultyDisk::new();
    let file = disk.create(path("/f")).unwrap();
    disk.stop_after(1);
    file.write_at(b"1", b"", 0).unwrap();
    assert!(file.write_at(b"2", b"", 1).is_err());
    assert!(file.len().is_err());
    assert_eq!(disk.kill().bytes(path("/f")).unwrap(), b"1");
}

//! Which lives the tests with random faults live, and which one it was that failed.

use std::ops::Range;

/// Runs `run` for every seed of `usual`, or of `SLUICE_SEEDS=from..to`: for a long run, or for one that failed.
pub(crate) fn for_each_seed(usual: Range<u64>, run: fn(u64)) {
    let given = std::env::var("SLUICE_SEEDS").ok();
    let parsed = given.as_deref().and_then(|text| text.split_once("..")).map(|(from, to)| (from.parse(), to.parse()));
    let seeds = match parsed {
        Some((Ok(from), Ok(to))) => from..to,
        _ => usual,
    };
    for seed in seeds {
        let outcome = std::panic::catch_unwind(|| run(seed));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

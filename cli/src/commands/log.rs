//! `sluice log check` and `sluice log repair`: what is damaged in the data folder of a stopped broker, and what can be
//! done about it. The broker library does the work; this prints it.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sluice_broker::clock::{Clock, MachineClock};
use sluice_broker::ids::TopicPartition;
use sluice_broker::log::repair::{Choice, Damage, Repair, Survey};
use sluice_broker::log::{LogDirSettings, LogError};

use crate::args::{ApplyChoice, LogArgs, RepairArgs};
use crate::output::say;

/// How often a long check prints its progress.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The folder cannot be opened.
    #[error(transparent)]
    Log(#[from] LogError),
    /// No partition has this name.
    #[error("{data_dir} has no partition {name}; 'sluice log check' names them all")]
    NoSuchPartition { data_dir: String, name: String },
    /// What `check` is asked for.
    #[error("{count} of the partitions are damaged; see 'sluice log repair --help'")]
    Damaged { count: usize },
}

impl Failure {
    /// The exit code: 2 for a wrong request, 1 for damage.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::NoSuchPartition { .. }
            | Failure::Log(LogError::InUse { .. } | LogError::NewerVersion { .. } | LogError::BadVersion { .. }) => 2,
            Failure::Log(_) | Failure::Damaged { .. } => 1,
        }
    }
}

/// `sluice log check`.
pub(crate) fn check(args: &LogArgs) -> Result<(), Failure> {
    let mut damaged = 0;
    let (repair, partitions) = open(args)?;
    for partition in partitions {
        let survey = look(&repair, &partition)?;
        say(&format!("{partition}: {}\n", summary(&survey)));
        for damage in &survey.damages {
            say(&describe(damage));
        }
        damaged += usize::from(!survey.damages.is_empty());
    }
    if damaged > 0 { Err(Failure::Damaged { count: damaged }) } else { Ok(()) }
}

/// `sluice log repair`.
pub(crate) fn repair(args: &RepairArgs) -> Result<(), Failure> {
    let (mut repair, partitions) = open(&args.log)?;
    let mut damaged = 0;
    for partition in partitions {
        let survey = look(&repair, &partition)?;
        let Some(first) = survey.damages.first() else { continue };
        damaged += 1;
        say(&format!("{partition} is damaged: {}\n", summary(&survey)));
        for damage in &survey.damages {
            say(&describe(damage));
        }
        let Some(choice) = args.apply else {
            say(&choices(&args.log.data_dir, &partition, first, &survey));
            continue;
        };
        let choice = match choice {
            ApplyChoice::Cut => Choice::Cut,
            ApplyChoice::Skip => Choice::Skip,
        };
        let repaired = repair.apply(&partition, &survey, choice)?;
        say(&format!("  done      the log ends at offset {}\n", repaired.end));
        for kept in repaired.kept {
            say(&format!("  kept      {}\n", kept.display()));
        }
    }
    if damaged == 0 {
        say("nothing is damaged\n");
    }
    Ok(())
}

fn open(args: &LogArgs) -> Result<(Repair, Vec<TopicPartition>), Failure> {
    let repair = Repair::open(LogDirSettings::new(args.data_dir.clone()), Arc::new(MachineClock))?;
    let mut partitions = repair.partitions()?;
    if let Some(name) = &args.partition {
        partitions.retain(|partition| partition.to_string() == *name);
        if partitions.is_empty() {
            let data_dir = args.data_dir.display().to_string();
            return Err(Failure::NoSuchPartition { data_dir, name: name.clone() });
        }
    }
    Ok((repair, partitions))
}

/// Reads a log, and prints the progress once a second.
fn look(repair: &Repair, partition: &TopicPartition) -> Result<Survey, LogError> {
    let mut printed: Instant = MachineClock.monotonic();
    repair.survey(partition, &mut |bytes| {
        let now = MachineClock.monotonic();
        if now.duration_since(printed) >= PROGRESS_EVERY {
            printed = now;
            // Standard error is closed: the result counts.
            let _ = writeln!(std::io::stderr(), "{partition}: {} MiB read", bytes >> 20);
        }
    })
}

fn summary(survey: &Survey) -> String {
    let torn = match survey.torn_bytes {
        0 => String::new(),
        bytes => format!("; {bytes} bytes behind them were never synced, the next start sets them aside"),
    };
    let found = format!("offsets {} to {} in {} batches", survey.log_start, survey.end, survey.batches);
    match survey.damages.len() {
        0 => format!("{found}, all whole{torn}"),
        1 => format!("{found}, one place is not whole{torn}"),
        places => format!("{found}, {places} places are not whole{torn}"),
    }
}

fn describe(damage: &Damage) -> String {
    let lost = match damage.to.0 - damage.from.0 {
        0 => "none is lost".to_owned(),
        1 => format!("{} cannot be read", damage.from),
        _ => format!("{} to {} cannot be read", damage.from, damage.to.0 - 1),
    };
    format!(
        "  file      {}\n  position  byte {}, {} bytes\n  offsets   {lost}\n  reason    {}\n",
        damage.path.display(),
        damage.position,
        damage.bytes,
        damage.reason,
    )
}

fn choices(data_dir: &Path, partition: &TopicPartition, first: &Damage, survey: &Survey) -> String {
    let command = format!("sluice log repair --data-dir {} {partition}", data_dir.display());
    let behind = match survey.batches_behind {
        0 => "no whole batch stands behind it".to_owned(),
        1 => format!("one whole batch stands behind it, up to offset {}", survey.end),
        many => format!("{many} whole batches stand behind it, up to offset {}", survey.end),
    };
    format!(
        "  behind    {behind}\nNothing was changed. The choices, both keep what is taken out beside the log:\n  \
         {command} --apply=cut\n      the log ends at offset {}; what stands behind is taken out of it\n  \
         {command} --apply=skip\n      only the damage is taken out; the log goes on up to offset {}\n",
        first.from, survey.end,
    )
}

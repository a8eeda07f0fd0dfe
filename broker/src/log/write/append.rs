//! Append: checks sequences and policy, assigns the offset, stamps the batch in place, writes it, rolls the segment
//! when it is full. In order of the writer's lock; answers with a ticket, which opens when the answer is durable. Cost of an
//! append: one write of the batch's own bytes; no copy, no sync but for a term's first append (rule 5).

use std::sync::Arc;

use crate::ids::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use crate::log::config::LogConfig;
use crate::log::error::{AppendError, ConditionalAppendError, LogError, Refused};
use crate::log::layout::LEADER_EPOCHS;
use crate::log::partition::Partition;
use crate::log::positions::Mark;
use crate::log::state::Writer;
use crate::log::sync::checkpoint;
use crate::log::ticket::Appended;
use crate::log::ticket::Ticket;
use crate::log::write::producer_snapshot;
use crate::log::write::producers::Verdict;
use crate::log::write::producers::{Origin, StreamLast};
use crate::log::write::segment::{ActiveSegment, RollLimits};
use crate::record::{BatchHeader, Compression, ProducedBatch, RecordError, TimestampType};

/// What an append did, and where HW has to be before it is answered.
type Placed = (Appended, Option<Offset>);

impl Partition {
    /// Appends one batch to the page cache and hands the partition to the flusher; does not wait. Appends are in the
    /// order of these calls. After a refusal the log is as it was.
    pub fn append(self: &Arc<Self>, batch: ProducedBatch, origin: Origin) -> Ticket {
        let config = self.config.load_full();
        let placed = check_policy(&config, &batch, origin)
            .map_err(Refused::reveals_nothing)
            .and_then(|()| self.append_locked(&mut self.writer(), &config, batch, origin));
        self.after_append(&config, &placed);
        Ticket::new(self, placed)
    }

    /// Appends only if the log ends at `expected`: else the ticket holds `WrongEnd`.
    pub(crate) fn append_if_end(
        self: &Arc<Self>,
        batch: ProducedBatch,
        origin: Origin,
        expected: Offset,
    ) -> Ticket<Appended, ConditionalAppendError> {
        let config = self.config.load_full();
        let placed = check_policy(&config, &batch, origin)
            .map_err(|error| Refused::reveals_nothing(error.into()))
            .and_then(|()| {
                let mut writer = self.writer();
                let end = self.view().positions.leo().offset;
                if end != expected {
                    return Err(Refused { error: ConditionalAppendError::WrongEnd { end }, reveals: Some(end) });
                }
                self.append_locked(&mut writer, &config, batch, origin).map_err(Refused::into)
            });
        self.after_append(&config, &placed);
        Ticket::new(self, placed)
    }

    /// The last thing that a stream wrote here.
    pub fn stream_last(self: &Arc<Self>, stream: ProducerId) -> Ticket<Option<StreamLast>, LogError> {
        let last = self.writer().producers.stream_last(stream);
        Ticket::new(self, Ok((last, last.map(|last| last.offset.next()))))
    }

    fn after_append<E>(&self, config: &LogConfig, placed: &Result<Placed, Refused<E>>) {
        if !matches!(placed, Ok((appended, _)) if !appended.duplicate) {
            return;
        }
        if config.sync {
            self.mark_dirty();
        } else {
            self.show_everything();
            self.flush_in_time(config.flush);
            // A sealed segment is flushed in the background.
            if self.view().pending.sealed {
                self.mark_dirty();
            }
        }
    }

    fn append_locked(
        &self,
        writer: &mut Writer,
        config: &LogConfig,
        batch: ProducedBatch,
        origin: Origin,
    ) -> Result<Placed, Refused> {
        let (base, epoch, log_start, new_epoch) = {
            let view = self.view();
            if let Some(trouble) = &view.trouble {
                return Err(Refused::reveals_nothing(AppendError::Log(trouble.clone())));
            }
            let epoch = self.epoch_now(&view);
            (view.positions.leo().offset, epoch, view.positions.log_start(), view.epochs.last() != Some(epoch))
        };
        if let Some(duplicate) = check_sequences(writer, batch.header(), origin, log_start)? {
            return Ok(duplicate);
        }
        let now = self.around.clock.wall();
        let append_time = match config.timestamp_type {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(now.max(writer.last_append_time.unwrap_or(now))),
        };
        let delta = i64::from(batch.header().last_offset_delta);
        // The end too: it is the next LEO, which every append moves.
        let end = base.checked_add(delta + 1).ok_or_else(|| Refused::reveals_nothing(end_of_numbers(base).into()))?;
        let last = Offset(end.0 - 1);
        let stamped = batch.stamp(base, epoch, append_time);
        // As Kafka's `LogConfig.maxSegmentMs`: what is in the active segment cannot be compacted.
        let lag = config.cleanup.compact.as_ref().map_or(i64::MAX, |compact| compact.max_lag_ms);
        let limits = RollLimits { bytes: config.segment_bytes, ms: config.segment_ms.min(lag) };
        let log = |error| Refused::reveals_nothing(AppendError::Log(error));
        if writer.active.as_ref().is_some_and(|active| active.must_roll(&stamped.header, last, limits, now)) {
            self.roll(writer, base, now).map_err(log)?;
        }
        if new_epoch {
            self.begin_epoch(epoch, base).map_err(log)?;
        }
        let active = writer.active.as_mut().ok_or_else(|| log(self.read_only()))?;
        let written = active
            .append(&stamped.header, &stamped.head, &stamped.body, config.index_interval_bytes)
            .map_err(|error| log(LogError::io("cannot append to the log of", &self.dir, error)))?;
        let segment = active.shared().base;
        writer.producers.record(&stamped.header, append_time, now);
        writer.last_append_time = append_time.or(writer.last_append_time);
        {
            let mut view = self.view();
            view.positions.appended(Mark { offset: end, segment, position: written.size }, written.indexed);
        }
        let appended = Appended { base_offset: base, last_offset: last, append_time, log_start, duplicate: false };
        Ok((appended, Some(end)))
    }

    /// Seals the active segment and begins a new one at `base`; the flusher syncs both before HW passes `base`.
    pub(in crate::log) fn roll(&self, writer: &mut Writer, base: Offset, now: TimestampMs) -> Result<(), LogError> {
        let Some(active) = writer.active.as_mut() else { return Err(self.read_only()) };
        let mut files = Vec::new();
        let fresh = active
            .finish(&mut files)
            .and_then(|()| ActiveSegment::create(&*self.around.disk, &self.dir, &self.dir, base, now));
        self.view().pending.files.append(&mut files);
        let fresh = fresh.map_err(|error| LogError::io("cannot begin a new segment in", &self.dir, error))?;
        let shared = Arc::clone(fresh.shared());
        let Some(full) = writer.active.replace(fresh) else { return Err(self.read_only()) };
        let sealed = full.seal();
        self.queue_snapshot(writer, base);
        let mut view = self.view();
        view.pending.files.push(Arc::clone(&sealed.segment.log));
        view.pending.dir = true;
        view.pending.sealed = true;
        view.positions.rolled();
        view.sealed.push(sealed);
        view.active = Some(shared);
        Ok(())
    }

    /// The producers as they are before `at`, for the flusher to write: a start reads no batches before it.
    pub(in crate::log) fn queue_snapshot(&self, writer: &mut Writer, at: Offset) {
        let bytes = producer_snapshot::encode(&writer.producers.entries());
        let mut view = self.view();
        let at_base = |before: &Offset| view.sealed.iter().any(|sealed| sealed.segment.base == *before);
        let active = view.active.as_ref().map(|active| active.base);
        // A newer snapshot replaces one that was taken at a stop; those at a segment's base are removed with the segment.
        let before = writer.snapshot_at.filter(|before| *before != at && Some(*before) != active && !at_base(before));
        view.obsolete = match view.obsolete {
            Some((older, _)) => Some((older, at)),
            None => before.map(|before| (before, at)),
        };
        view.pending.snapshots.push((at, bytes));
        writer.snapshot_at = Some(at);
    }

            if let Some(mut files) = written.out {
                view.positions.indexed();
                view.pending.files.append(&mut files);
            }
    /// Rule 5: the entry of a term is in the file before its first append is in the log; the name is synced with it.
    fn begin_epoch(&self, epoch: LeaderEpoch, start: Offset) -> Result<(), LogError> {
        let mut epochs = self.view().epochs.clone();
        if epochs.begin(epoch, start) {
            checkpoint::replace(&*self.around.disk, &self.dir.join(LEADER_EPOCHS), &epochs.text())?;
            let mut view = self.view();
            view.epochs = epochs;
            view.pending.dir = true;
        }
        Ok(())
    }

    fn read_only(&self) -> LogError {
        LogError::Offline { partition: self.label(), reason: "it is read-only".to_owned() }
    }
}

fn end_of_numbers(base: Offset) -> RecordError {
    RecordError::Invalid { reason: format!("no offsets are left after {base}") }
}

/// A batch that is there already, or a refusal; `None`: to be appended.
fn check_sequences(
    writer: &Writer,
    header: &BatchHeader,
    origin: Origin,
    log_start: Offset,
) -> Result<Option<Placed>, Refused> {
    let Some(stamp) = header.producer else {
        return Ok(None);
    };
    // Sequences are counted like offsets, by the delta: a batch that lost records to a filter keeps all its sequences.
    match writer.producers.check(stamp, header.last_offset_delta.saturating_add(1), origin)? {
        Verdict::Append => Ok(None),
        Verdict::Duplicate { base_offset, last_offset, append_time, durable_at } => {
            let appended = Appended { base_offset, last_offset, append_time, log_start, duplicate: true };
            Ok(Some((appended, Some(durable_at))))
        }
    }
}

/// What the topic's configs and the origin allow. Independent of what the log holds.
fn check_policy(config: &LogConfig, batch: &ProducedBatch, origin: Origin) -> Result<(), AppendError> {
    let header = batch.header();
    let invalid = |reason: &str| Err(RecordError::Invalid { reason: reason.to_owned() }.into());
    if origin == Origin::Client && header.transactional {
        return invalid("transactions are not supported yet");
    }
    if origin == Origin::Client && header.control {
        return invalid("control batches are the broker's own");
    }
    if origin == Origin::Stream && header.producer.is_none() {
        return invalid("a batch of a stream carries the stream's producer id");
    }
    // Headers that the broker adds do not count (rule 19): who builds a stream's batches checks the size.
    if origin != Origin::Stream && header.size > config.message_bytes_max {
        return Err(RecordError::TooLarge { size: header.size, limit: config.message_bytes_max }.into());
    }
    // Compressed batches of clients were opened and checked before, outside of the writer's lock (`AppendRules`).
    let looked_at = header.compression != Compression::None && origin != Origin::Stream;
    if config.cleanup.compact.is_some() && !header.control && !looked_at {
        for record in batch.iter()? {
            if record?.key.is_none() {
                return invalid("a compacted topic takes no record without a key");
            }
        }
    }
    Ok(())
}

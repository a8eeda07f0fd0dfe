//! Append: checks sequences and policy, assigns the offset, stamps the batch in place, writes it, rolls the segment
//! when it is full. In order of the writer's lock; answers with a ticket, which opens when the answer is durable. Cost of an
//! append: one write of the batch's own bytes; no copy, no sync.

use std::sync::Arc;

use crate::ids::{LeaderEpoch, Offset, ProducerId, TimestampMs};
use crate::log::config::LogConfig;
use crate::log::error::{AppendError, ConditionalAppendError, LogError, Refused};
use crate::log::partition::Partition;
use crate::log::positions::Mark;
use crate::log::state::Writer;
use crate::log::ticket::Appended;
use crate::log::ticket::Ticket;
use crate::log::write::producers::Verdict;
use crate::log::write::producers::{Origin, StreamLast};
use crate::log::write::roll::must_roll;
use crate::record::{BatchHeader, ProducedBatch, RecordError, TimestampType};
use crate::tasks;

/// What an append did, and where HW has to be before it is answered.
type Placed = (Appended, Option<Offset>);

impl Partition {
    /// Appends one batch to the page cache and hands the partition to the flusher; does not wait for a sync. Appends are in
    /// the order of these calls. After a refusal the log is as it was. Blocking where the segment is full: the next one's
    /// files are created. A network thread calls `append_at_once` or `append_async`.
    pub fn append(self: &Arc<Self>, batch: ProducedBatch, origin: Origin) -> Ticket {
        let config = self.config.load_full();
        let placed = check_policy(&config, &batch, origin).map_err(Refused::reveals_nothing).and_then(|()| {
            let mut writer = self.writer();
            self.append_locked(&mut writer, &config, batch, origin, self.around.clock.wall())
        });
        self.after_append(&config, &placed);
        Ticket::new(self, placed)
    }

    /// As `append`, if the active segment takes the batch: else it is returned, for `append` on a blocking thread.
    pub(crate) fn append_at_once(
        self: &Arc<Self>,
        batch: ProducedBatch,
        origin: Origin,
    ) -> Result<Ticket, ProducedBatch> {
        let config = self.config.load_full();
        let placed = match check_policy(&config, &batch, origin) {
            Err(error) => Err(Refused::reveals_nothing(error)),
            Ok(()) => {
                let (mut writer, now) = (self.writer(), self.around.clock.wall());
                let time = append_time(&config, &writer, now);
                let base = self.view().positions.leo().offset;
                if must_roll(&writer, &config, batch.header(), base, time, now) {
                    return Err(batch);
                }
                self.append_locked(&mut writer, &config, batch, origin, now)
            }
        };
        self.after_append(&config, &placed);
        Ok(Ticket::new(self, placed))
    }

    /// As `append`, never blocking the caller's thread. `held` is what keeps others from appending before this batch; it is
    /// kept until the append has ended, also when the caller has gone.
    pub(crate) async fn append_async<H: Send + 'static>(
        self: &Arc<Self>,
        batch: ProducedBatch,
        origin: Origin,
        held: H,
    ) -> Ticket {
        let batch = match self.append_at_once(batch, origin) {
            Ok(ticket) => return ticket,
            Err(batch) => batch,
        };
        let me = Arc::clone(self);
        let append = move || {
            let ticket = me.append(batch, origin);
            drop(held);
            ticket
        };
        match tasks::blocking("log-roll", append).await {
            Ok(ticket) => ticket,
            Err(failure) => Ticket::new(self, Err(Refused::reveals_nothing(LogError::from(failure).into()))),
        }
    }

    /// Appends only if the log ends at `expected`: else the ticket holds `WrongEnd`. Blocking, as `append`.
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
                let now = self.around.clock.wall();
                self.append_locked(&mut writer, &config, batch, origin, now).map_err(Refused::into)
            });
        self.after_append(&config, &placed);
        Ticket::new(self, placed)
    }

    /// The last thing that a stream wrote here.
    pub(crate) fn stream_last(self: &Arc<Self>, stream: ProducerId) -> Ticket<Option<StreamLast>, LogError> {
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
            // A sealed segment and a new epoch are flushed in the background.
            let due = {
                let pending = &self.view().pending;
                pending.sealed || pending.epochs
            };
            if due {
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
        now: TimestampMs,
    ) -> Result<Placed, Refused> {
        let (base, epoch, log_start, new_epoch) = {
            let view = self.view();
            if let Some(trouble) = &view.trouble {
                return Err(Refused::reveals_nothing(AppendError::Log(trouble.clone())));
            }
            let epoch = self.epoch_now(&view);
            (view.positions.leo().offset, epoch, view.positions.log_start(), view.epochs.last() != Some(epoch))
        };
        if let Some(duplicate) = check_sequences(writer, batch.header(), origin, log_start, now)? {
            return Ok(duplicate);
        }
        let append_time = append_time(config, writer, now);
        let delta = i64::from(batch.header().last_offset_delta);
        // The end too: it is the next LEO, which every append moves.
        let end = base.checked_add(delta + 1).ok_or_else(|| Refused::reveals_nothing(end_of_numbers(base).into()))?;
        let last = Offset(end.0 - 1);
        let log = |error| Refused::reveals_nothing(AppendError::Log(error));
        if must_roll(writer, config, batch.header(), base, append_time, now) {
            self.roll(writer, base, now).map_err(log)?;
        }
        let stamped = batch.stamp(base, epoch, append_time);
        if new_epoch {
            self.begin_epoch(epoch, base);
        }
        let active = writer.active.as_mut().ok_or_else(|| log(self.no_active_segment()))?;
        let written = active
            .append(&stamped.header, &stamped.head, &stamped.body, config.index_interval_bytes)
            .map_err(|error| log(LogError::io("cannot append to the log of", &self.dir, error)))?;
        let segment = active.shared().base;
        writer.producers.record(&stamped.header, append_time, now);
        writer.last_append_time = append_time.or(writer.last_append_time);
        {
            let mut view = self.view();
            view.positions.appended(Mark { offset: end, segment, position: written.size }, written.indexed);
            if let Some(mut files) = written.out {
                view.positions.indexed();
                view.pending.files.append(&mut files);
            }
        }
        let appended = Appended { base_offset: base, last_offset: last, append_time, log_start, duplicate: false };
        Ok((appended, Some(end)))
    }

    /// Rule 5: the entry of a term begins with its first append. The flusher writes it, and the recovery point waits for
    /// that; the append does not: above the recovery point a start finds the epochs in the batches themselves.
    fn begin_epoch(&self, epoch: LeaderEpoch, start: Offset) {
        let mut view = self.view();
        view.pending.epochs |= view.epochs.begin(epoch, start);
    }

    /// A partition without one has a trouble, which ends every append before.
    pub(super) fn no_active_segment(&self) -> LogError {
        LogError::Internal { what: format!("partition {} takes appends without an active segment", self.label()) }
    }
}

/// Under LogAppendTime: now, and never before an earlier append.
fn append_time(config: &LogConfig, writer: &Writer, now: TimestampMs) -> Option<TimestampMs> {
    match config.timestamp_type {
        TimestampType::CreateTime => None,
        TimestampType::LogAppendTime => Some(now.max(writer.last_append_time.unwrap_or(now))),
    }
}

fn end_of_numbers(base: Offset) -> RecordError {
    RecordError::Invalid { reason: format!("no offsets are left after {base}") }
}

/// A batch that is there already, or a refusal; `None`: to be appended.
fn check_sequences(
    writer: &mut Writer,
    header: &BatchHeader,
    origin: Origin,
    log_start: Offset,
    now: TimestampMs,
) -> Result<Option<Placed>, Refused> {
    let Some(stamp) = header.producer else {
        return Ok(None);
    };
    // Sequences are counted like offsets, by the delta: a batch that lost records to a filter keeps all its sequences.
    match writer.producers.check(stamp, header.last_offset_delta.saturating_add(1), origin)? {
        Verdict::Append => writer.producers.admit(stamp.id, origin, now).map(|()| None),
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
    Ok(())
}

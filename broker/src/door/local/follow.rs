//! Follows one partition record by record, for a service that works through all of it: by topic id, so that a topic which
//! was deleted and recreated is another one, and without the wait of a long poll. A client can compress anything, so a batch
//! may be impossible to open, and a record may open to more than is held at once: it is returned as one record that holds the
//! batch, at the same offset every time, and does not stop the service.

use std::sync::Arc;

use tokio::sync::Notify;

use super::super::error::{DoorError, StorageFailure};
use super::super::reading::{Followed, RecordView};
use super::Door;
use crate::context::Context;
use crate::engine::Engine;
use crate::engine::follow;
use crate::engine::openings::TooLong;
use crate::ids::{Offset, PartitionId, TopicId, TopicRef};
use crate::limits::{DELAY_RECORD_BYTES_MAX, DELAY_WINDOW_BYTES_MAX};
use crate::log::{FileSlice, NotOpened, WatchGuard};
use crate::record::{BatchHeader, Bounds, Means, RecordError, Records, Stop, Unopened};

/// A partition that a service works through.
#[derive(Clone, Debug)]
pub(crate) struct Follower {
    partition: follow::Follower,
    engine: Arc<Engine>,
}

/// A thread on which a followed partition may be read, and how much may be opened there.
#[derive(Debug)]
pub(crate) struct Reading {
    partition: follow::Follower,
    opened_left: usize,
}

/// What was read.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) done: T,
    /// So much had to be opened for it that it was among the long ones.
    pub(crate) long: bool,
}

/// Why a read ended early.
#[derive(Debug)]
pub(crate) enum ReadEnd {
    /// For the queue of long reads: only `Follower::reading` sees it.
    TooLong,
    /// What is wrong.
    Failed(DoorError),
}

impl From<DoorError> for ReadEnd {
    fn from(error: DoorError) -> ReadEnd {
        ReadEnd::Failed(error)
    }
}

/// Wakes a `Notify` until it is dropped.
#[derive(Debug)]
#[must_use]
pub(crate) struct Watch {
    _guard: WatchGuard,
}

impl Door {
    /// That partition of the topic with this id.
    ///
    /// # Errors
    /// `IdNotFound`, `NoPartition`.
    pub(crate) fn follow(&self, ctx: &Context, topic: TopicId, partition: PartitionId) -> Result<Follower, DoorError> {
        let topic = self.engine.auth().ask(ctx, TopicRef::Id(topic))?;
        Ok(Follower { partition: self.engine.follow(&topic, partition)?, engine: Arc::clone(&self.engine) })
    }
}

impl Follower {
    /// The first offset that the partition has.
    #[must_use]
    pub(crate) fn beginning(&self) -> Offset {
        self.partition.log_start()
    }

    /// The offset behind the last record that can be read.
    #[must_use]
    pub(crate) fn end(&self) -> Offset {
        self.partition.high_watermark()
    }

    /// Records at and above `from` are still needed: nothing removes them.
    pub(crate) fn hold(&self, from: Offset) {
        self.partition.hold(from);
    }

    /// Does `work` where it may wait for the disk and open batches: in the delays' own queue, never on a network thread. It
    /// may be called twice, and must not have changed anything by then.
    ///
    /// # Errors
    /// Those of `work`; too many wait.
    pub(crate) async fn reading<T: Send + 'static>(
        &self,
        work: impl Fn(&mut Reading) -> Result<T, ReadEnd> + Send + 'static,
    ) -> Result<Read<T>, DoorError> {
        let partition = self.partition.clone();
        let read = self.engine.openings().delays.run(move |opened_left| {
            let long = opened_left == usize::MAX;
            match work(&mut Reading { partition: partition.clone(), opened_left }) {
                Ok(done) => Ok(Ok(Read { done, long })),
                Err(ReadEnd::Failed(error)) => Ok(Err(error)),
                Err(ReadEnd::TooLong) => Err(TooLong),
            }
        });
        read.await?
    }

    /// Wakes `notify` on new records and on the partition's end, until the answer is dropped.
    pub(crate) fn watch(&self, notify: &Arc<Notify>) -> Watch {
        Watch { _guard: self.partition.watch(notify) }
    }
}

impl Reading {
    /// Passes the records from `from` on to `take`, in order, until `take` returns `false`, about `bytes_max` bytes of whole
    /// batches have been read, or they have opened to much more. Returns the offset to continue at: behind the last record
    /// taken and the holes after it; `from` at the end of the log. Opens a batch piece by piece and holds one record.
    ///
    /// # Errors
    /// A storage failure; a damaged batch; too much to be opened here.
    pub(crate) fn read(
        &mut self,
        from: Offset,
        bytes_max: usize,
        take: &mut dyn FnMut(Followed) -> bool,
    ) -> Result<Offset, ReadEnd> {
        let Some(slice) = self.partition.locate(from, bytes_max).map_err(DoorError::from)? else { return Ok(from) };
        let mut scan = Scan { from, next: from, opened_left: self.opened_left };
        let mut at = 0;
        while let Some(batch) = slice.batch(at).map_err(failed)? {
            let (header, whole) = (batch.header().clone(), (&slice, at));
            at += header.size;
            let all = if header.control { Ok(true) } else { scan.batch(batch, whole, take) };
            self.opened_left = scan.opened_left;
            match all {
                Ok(true) => scan.next = scan.next.max(header.next_offset()),
                Ok(false) => break,
                // What was taken stays taken: the caller goes on behind it.
                Err(ReadEnd::TooLong) if scan.next > from => break,
                Err(ended) => return Err(ended),
            }
        }
        Ok(scan.next)
    }
}

/// A read under way.
struct Scan {
    from: Offset,
    /// Behind what was taken.
    next: Offset,
    opened_left: usize,
}

impl Scan {
    /// `true` when every record of the batch was taken.
    fn batch(
        &mut self,
        batch: Unopened,
        whole: (&FileSlice, usize),
        take: &mut dyn FnMut(Followed) -> bool,
    ) -> Result<bool, ReadEnd> {
        let header = batch.header().clone();
        let mut place = header.base_offset;
        // The first that cannot be read brings the batch along, so that nothing is lost; others refer to it.
        let mut bytes = Some(whole);
        let bounds =
            Bounds { record_bytes: DELAY_RECORD_BYTES_MAX, window_bytes: DELAY_WINDOW_BYTES_MAX, ..Bounds::default() };
        let mut records = match Records::open(batch, bounds) {
            Ok(records) => records,
            Err(error @ RecordError::Unread { .. }) => return Err(ReadEnd::Failed(error.into())),
            Err(error) => return self.tell(&header, (place, header.next_offset()), bytes, &error, take),
        };
        loop {
            // The bounds are the admission: a few of these run at once (`Openings::delays`).
            let mut admit = |_| true;
            let mut means = Means::new(&mut admit, self.opened_left);
            let met = records.next(&mut means);
            self.opened_left = means.opened_left;
            let met = match met {
                Ok(None) => return Ok(true),
                Ok(Some(met)) => met,
                Err(Stop::TooLong) => return Err(ReadEnd::TooLong),
                Err(Stop::Bad(error @ RecordError::Unread { .. })) => return Err(ReadEnd::Failed(error.into())),
                Err(stop) => {
                    let rest = (place, header.next_offset());
                    return self.tell(&header, rest, bytes, &stop.into_record(), take);
                }
            };
            place = met.offset.next();
            let goes_on = match records.view(&met) {
                Some((record, _)) => self.pass(Followed { next: place, record, unreadable: None }, take),
                None => {
                    let reason = format!("it has {} bytes when opened, {} with its headers", met.size, met.cost);
                    let error = RecordError::Compression { reason };
                    self.tell(&header, (met.offset, place), bytes.take(), &error, take)?
                }
            };
            if !goes_on {
                return Ok(false);
            }
        }
    }

    /// A record in the place of what cannot be read.
    fn tell(
        &mut self,
        header: &BatchHeader,
        (offset, next): (Offset, Offset),
        whole: Option<(&FileSlice, usize)>,
        error: &RecordError,
        take: &mut dyn FnMut(Followed) -> bool,
    ) -> Result<bool, ReadEnd> {
        if offset < self.from {
            return Ok(true);
        }
        let base = header.base_offset;
        let small = header.size <= DELAY_RECORD_BYTES_MAX;
        let (value, where_it_is) = match whole {
            Some((slice, at)) if small => (Some(slice.bytes(at, header.size).map_err(failed)?), "this is all of it"),
            Some(_) => (None, "it is too large to be moved"),
            None => (None, "all of it is in the dead letter before this one"),
        };
        let (timestamp, client_timestamp) = (header.max_timestamp, header.base_timestamp);
        let record = RecordView { offset, timestamp, client_timestamp, key: None, value, headers: Vec::new() };
        let reason = format!("the batch at offset {base} cannot be opened, {where_it_is}: {error}");
        Ok(self.pass(Followed { record, unreadable: Some(reason), next }, take))
    }

    fn pass(&mut self, found: Followed, take: &mut dyn FnMut(Followed) -> bool) -> bool {
        let next = found.next;
        let goes_on = found.record.offset < self.from || take(found);
        if goes_on {
            self.next = self.next.max(next);
        }
        goes_on
    }
}

fn failed(error: NotOpened) -> DoorError {
    match error {
        NotOpened::Io(error) => StorageFailure::Broken { reason: format!("cannot read a log: {error}") }.into(),
        NotOpened::Record(error) => error.into(),
    }
}

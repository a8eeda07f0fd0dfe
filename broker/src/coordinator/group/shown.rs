//! What groups show of themselves at `/metrics`: how many are in each state, and of a bounded number of them the members and the
//! committed offsets. Walks in slices, and holds a shard's lock for one of them: requests of other groups go on in between. Shows
//! what is durable, and never what a member said.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::groups::Groups;
use super::machine::GroupMachine;
use super::requests::GroupState;
use crate::ids::{Offset, TopicId, TopicPartition};
use crate::limits::SWEEP_OFFSETS_MAX;

/// Bytes of the longest group id that is shown by name: ids may have 32 KiB, and each row repeats it.
const SHOWN_ID_BYTES_MAX: usize = 249;

/// A group at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ShownGroup {
    pub(crate) id: Arc<str>,
    pub(crate) members: usize,
}

/// All groups at about one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupsShown {
    /// How many there are, by the name that Kafka has for their state.
    pub(crate) by_state: BTreeMap<&'static str, usize>,
    /// Those with members first, then in the order of their ids.
    pub(crate) named: Vec<ShownGroup>,
}

/// A committed offset, and the topic that it was committed for.
pub(crate) type ShownOffset = (TopicPartition, Offset, Option<TopicId>);

/// A part of a walk, and where the next one begins; `None`: nowhere.
type Slice<T, P> = (Vec<T>, Option<P>);

impl Groups {
    /// Every group is counted; `named_max` of them are named. Walks over all groups: not for a network thread.
    pub(crate) fn shown(&self, named_max: usize) -> GroupsShown {
        let mut shown = GroupsShown::default();
        for shard in self.shards() {
            let mut from: Option<Arc<str>> = None;
            // A shard that is unloaded shows nothing; readiness names it.
            while let Ok((slice, next)) = shard.read(|groups| groups.slice(from.as_deref())) {
                for (group, state) in slice {
                    *shown.by_state.entry(state.name()).or_default() += 1;
                    if is_shown_by_name(&group.id) {
                        shown.named.push(group);
                    }
                }
                if shown.named.len() > 2 * named_max {
                    keep_first(&mut shown.named, named_max);
                }
                if next.is_none() {
                    break;
                }
                from = next;
            }
        }
        keep_first(&mut shown.named, named_max);
        shown
    }

    /// Passes the committed offsets of a group on, `offsets_max` at most; returns how many there were.
    pub(crate) fn shown_offsets(&self, group: &str, offsets_max: usize, mut take: impl FnMut(ShownOffset)) -> usize {
        let Some(shard) = self.find(group) else { return 0 };
        let (mut after, mut count) = (None, 0);
        while count < offsets_max
            && let Ok((slice, last)) = shard.read(|groups| groups.offsets_slice(group, after.as_ref()))
        {
            count += slice.len();
            slice.into_iter().for_each(&mut take);
            if last.is_none() {
                break;
            }
            after = last;
        }
        count
    }
}

impl GroupMachine {
    fn slice(&self, from: Option<&str>) -> Slice<(ShownGroup, GroupState), Arc<str>> {
        let from = from.map_or(Bound::Unbounded, Bound::Included);
        let mut walk = self.groups.range::<str, _>((from, Bound::Unbounded));
        let shown = walk.by_ref().take(SWEEP_OFFSETS_MAX).map(|(id, group)| {
            let shown = ShownGroup { id: Arc::clone(id), members: group.classic.member_count() };
            (shown, group.classic.state())
        });
        (shown.collect(), walk.next().map(|(id, _)| Arc::clone(id)))
    }

    fn offsets_slice(&self, group: &str, after: Option<&TopicPartition>) -> Slice<ShownOffset, TopicPartition> {
        let Some(group) = self.groups.get(group) else { return (Vec::new(), None) };
        let shown = group.offsets.durable_after(after).take(SWEEP_OFFSETS_MAX);
        let shown: Vec<ShownOffset> =
            shown.map(|(target, value)| (target.clone(), value.offset, value.topic_id)).collect();
        let last = shown.last().filter(|_| shown.len() == SWEEP_OFFSETS_MAX).map(|(target, ..)| target.clone());
        (shown, last)
    }
}

fn keep_first(groups: &mut Vec<ShownGroup>, max: usize) {
    groups.sort_by(|a, b| (a.members == 0).cmp(&(b.members == 0)).then_with(|| a.id.cmp(&b.id)));
    groups.truncate(max);
}

/// A client chose the id.
fn is_shown_by_name(id: &str) -> bool {
    id.len() <= SHOWN_ID_BYTES_MAX && !id.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_with_members_are_named_before_those_without() {
        let group = |id: &str, members| ShownGroup { id: id.into(), members };
        let mut groups = vec![group("a", 0), group("c", 1), group("b", 2), group("d", 0)];
        keep_first(&mut groups, 3);
        assert_eq!(groups, [group("b", 2), group("c", 1), group("a", 0)]);
    }

    #[test]
    fn an_id_that_is_long_or_holds_control_characters_is_not_named() {
        assert!(is_shown_by_name("orders") && is_shown_by_name(&"g".repeat(SHOWN_ID_BYTES_MAX)));
        assert!(!is_shown_by_name(&"g".repeat(SHOWN_ID_BYTES_MAX + 1)));
        assert!(!is_shown_by_name("a\u{1b}[31m") && !is_shown_by_name("a\r\nb"));
    }
}

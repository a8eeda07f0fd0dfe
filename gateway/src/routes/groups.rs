//! A group's committed offsets read and committed without membership; refused while the group has members.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use sluice_broker::door::DoorError;
use sluice_broker::door::groups::GroupOffset;
use sluice_broker::ids::{Offset, PartitionId, TopicName, TopicPartition};

use super::{answer, nothing};
use crate::app::{App, Caller, Segments};
use crate::body::{self, Limit};
use crate::limits::{ADMIN_BYTES_MAX, OFFSETS_PER_COMMIT_MAX};
use crate::problem::Problem;
use crate::schemas::{self, GroupOffsets, ProblemDocument};

const BODY: Limit = Limit { bytes: ADMIN_BYTES_MAX, what: "a commit" };

/// What a group has committed.
#[utoipa::path(get, path = "/groups/{group}/offsets", tag = "groups", operation_id = "groupOffsets",
    params(("group" = String, Path, description = "The group")),
    responses((status = 200, description = "Its offsets", body = GroupOffsets)))]
pub(crate) async fn offsets(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(group): Segments<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let committed = app.door.group_offsets(&caller.0, &group).await?;
    let offsets = committed.into_iter().map(|committed| schemas::GroupOffset {
        topic: committed.target.topic.to_string(),
        partition: committed.target.partition.0,
        next_offset: committed.offset.0,
        metadata: committed.metadata,
    });
    answer(&headers, StatusCode::OK, &GroupOffsets { offsets: offsets.collect() })
}

/// Commit offsets for a group that has no members.
#[utoipa::path(post, path = "/groups/{group}/offsets", tag = "groups", operation_id = "commitGroupOffsets",
    params(("group" = String, Path, description = "The group")), request_body = GroupOffsets,
    responses(
        (status = 204, description = "All committed, durably"),
        (status = 404, description = "A topic or partition is not there; `committed` and `failed` say which stand", body = ProblemDocument, content_type = "application/problem+json"),
        (status = 409, description = "The group has members", body = ProblemDocument, content_type = "application/problem+json"),
    ))]
pub(crate) async fn commit(
    State(app): State<Arc<App>>,
    caller: Caller,
    Segments(group): Segments<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = body::read(&app.memory, &caller.1, &headers, body, BODY).await?;
    let request: GroupOffsets = body::json(&body)?;
    let offsets = request.offsets.into_iter().map(to_commit).collect::<Result<Vec<_>, Problem>>()?;
    if offsets.is_empty() || offsets.len() > OFFSETS_PER_COMMIT_MAX {
        let detail = format!("a commit has 1 to {OFFSETS_PER_COMMIT_MAX} offsets");
        return Err(Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, detail));
    }
    let places: Vec<TopicPartition> = offsets.iter().map(|offset| offset.target.clone()).collect();
    let door = app.door.clone();
    let outcome = app.finish(async move { Ok(door.commit_group_offsets(&caller.0, &group, offsets).await?) }).await?;
    let outcome = outcome.into_iter().map(|one| one.map_err(Problem::from)).collect();
    committed(&places, outcome)
}

fn to_commit(offset: schemas::GroupOffset) -> Result<GroupOffset, Problem> {
    if offset.next_offset < 0 {
        return Err(Problem::coded(StatusCode::UNPROCESSABLE_ENTITY, 42206, "next_offset is negative"));
    }
    let topic = TopicName::new(&offset.topic).map_err(DoorError::from)?;
    Ok(GroupOffset {
        target: TopicPartition { topic, partition: PartitionId(offset.partition) },
        offset: Offset(offset.next_offset),
        metadata: offset.metadata,
    })
}

/// 204 when all are committed; else the first failure's status with the outcome of each.
fn committed(places: &[TopicPartition], outcome: Vec<Result<(), Problem>>) -> Result<Response, Problem> {
    let Some(first) = outcome.iter().find_map(|one| one.as_ref().err()).cloned() else { return Ok(nothing()) };
    let (mut stand, mut failed) = (Vec::new(), Vec::new());
    for (place, one) in places.iter().zip(outcome) {
        let mut entry = json!({"topic": place.topic.as_str(), "partition": place.partition.0});
        match one {
            Ok(()) => stand.push(entry),
            Err(problem) => {
                entry["error_code"] = problem.code.into();
                entry["message"] = problem.detail.into();
                failed.push(entry);
            }
        }
    }
    Err(first.with("committed", Value::Array(stand)).with("failed", Value::Array(failed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_says_which_offsets_stand() {
        let place = |partition| TopicPartition {
            topic: TopicName::new("t").expect("a name"),
            partition: PartitionId(partition),
        };
        let places = [place(0), place(9)];
        assert_eq!(committed(&places, vec![Ok(()), Ok(())]).expect("all stand").status(), 204);
        let none = Problem::coded(StatusCode::NOT_FOUND, 40402, "no partition");
        let problem = committed(&places, vec![Ok(()), Err(none)]).expect_err("one failed");
        assert_eq!((problem.status.as_u16(), problem.code), (404, 40402));
        assert_eq!(problem.extra["committed"], json!([{"topic": "t", "partition": 0}]));
        assert_eq!(problem.extra["failed"][0]["partition"], 9);
    }

    #[test]
    fn an_offset_must_say_next_offset() {
        for body in [
            r#"{"offsets":[{"topic":"t","partition":0,"offset":3}]}"#,
            r#"{"offsets":[{"topic":"t","partition":0}]}"#,
            r#"{"offsets":[{"topic":"t","partition":0,"next_offset":3,"meta":"x"}]}"#,
        ] {
            assert!(serde_json::from_str::<GroupOffsets>(body).is_err(), "{body}");
        }
        let bad = schemas::GroupOffset { topic: "t".into(), partition: 0, next_offset: -1, metadata: None };
        assert_eq!(to_commit(bad).expect_err("negative").code, 42206);
    }
}

//! Holds findings against the exceptions. A finding that no exception covers fails; so does an exception that covers
//! more than there is, because a ceiling may only sink.

use std::collections::BTreeMap;

use crate::Finding;
use crate::exceptions::Exception;

/// What is to be reported, one text each; empty when the tree is tidy.
#[must_use]
pub fn judge(findings: &[Finding], exceptions: &[Exception]) -> Vec<String> {
    let mut sums: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for finding in findings {
        *sums.entry((finding.rule, &finding.place)).or_default() += finding.amount;
    }
    let mut reports = Vec::new();
    for finding in findings {
        let ceiling = exceptions.iter().find(|e| e.rule == finding.rule && e.place == finding.place).map(|e| e.ceiling);
        let file = finding.place.split("::").next().unwrap_or_default();
        let sum = sums[&(finding.rule, finding.place.as_str())];
        match ceiling {
            Some(ceiling) if sum <= ceiling => {}
            Some(ceiling) => reports.push(format!(
                "{file}:{}: [{}] {} (its exception allows {ceiling}, there are {sum})",
                finding.line, finding.rule, finding.advice
            )),
            None => reports.push(format!("{file}:{}: [{}] {}", finding.line, finding.rule, finding.advice)),
        }
    }
    for exception in exceptions {
        let sum = sums.get(&(exception.rule, exception.place)).copied().unwrap_or(0);
        if sum < exception.ceiling {
            let advice = if sum == 0 { "remove it".to_owned() } else { format!("lower its ceiling to {sum}") };
            reports.push(format!(
                "tests/tidy/src/exceptions.rs: [{}] the exception for {} allows {}, there are {sum}: {advice}",
                exception.rule, exception.place, exception.ceiling
            ));
        }
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(place: &str, amount: usize) -> Finding {
        Finding { rule: "r", place: place.to_owned(), line: 3, amount, advice: "do better".to_owned() }
    }

    #[test]
    fn a_finding_without_an_exception_names_file_and_line() {
        assert_eq!(judge(&[finding("a.rs::f", 80)], &[]), ["a.rs:3: [r] do better"]);
    }

    #[test]
    fn an_exception_covers_up_to_its_ceiling_and_must_sink_with_what_it_covers() {
        let allows = |ceiling| [Exception { rule: "r", place: "a.rs", ceiling, why: "" }];
        assert!(judge(&[finding("a.rs", 1), finding("a.rs", 1)], &allows(2)).is_empty());
        assert_eq!(judge(&[finding("a.rs", 1), finding("a.rs", 1)], &allows(1)).len(), 2);
        let sunk = judge(&[finding("a.rs", 1)], &allows(2));
        assert!(sunk[0].ends_with("lower its ceiling to 1"), "{sunk:?}");
        let gone = judge(&[], &allows(2));
        assert!(gone[0].ends_with("remove it"), "{gone:?}");
    }
}

//! Why no other cluster: what each of them lacked, beside the choice.

use super::{Candidate, Choice, Matchers, Origin, Pins, RULES, Reason, Rule};
use dragonfly_api::rest::Verdict;
use std::fmt::Display;

/// What one cluster had to do with a choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Opinion {
    pub(crate) cluster: u64,
    pub(crate) verdict: Verdict,
    pub(crate) explanation: String,
}

/// What every candidate had to do with a choice, the chosen one first.
pub(crate) fn explain(candidates: &[Candidate], pins: &Pins, origin: &Origin<'_>, choice: &Choice) -> Vec<Opinion> {
    let mut opinions: Vec<Opinion> = candidates
        .iter()
        .map(|candidate| {
            let (verdict, explanation) = candidate.opinion(pins, origin, choice);
            Opinion {
                cluster: candidate.id,
                verdict,
                explanation,
            }
        })
        .collect();
    opinions.sort_by_key(|opinion| (opinion.verdict != Verdict::Chosen, opinion.cluster));
    opinions
}

impl Candidate {
    fn opinion(&self, pins: &Pins, origin: &Origin<'_>, choice: &Choice) -> (Verdict, String) {
        if self.id == choice.cluster {
            return (Verdict::Chosen, choice.to_string());
        }
        if choice.reason == Reason::Pinned {
            return (
                Verdict::Outranked,
                "the caller's configuration names another".to_owned(),
            );
        }
        let own = RULES
            .into_iter()
            .find_map(|rule| self.matches(rule, pins, origin).map(|(_, reason)| (rule, reason)));
        match own {
            Some((_, reason)) if choice.ties.contains(&self.id) => (
                Verdict::Younger,
                format!("{reason}, but cluster {} matches as well and is older", choice.cluster),
            ),
            Some((rule, reason)) if rule == choice.reason.rule() => (
                Verdict::LessSpecific,
                format!("{reason}, but less specifically than in cluster {}", choice.cluster),
            ),
            Some((Rule::Default, _)) => (
                Verdict::Outranked,
                format!("it is the default, but {} comes first", choice.reason.rule().what()),
            ),
            Some((_, reason)) => (
                Verdict::Outranked,
                format!("{reason}, but {} comes first", choice.reason.rule().what()),
            ),
            None => (Verdict::NoMatch, self.matchers.lacking(origin)),
        }
    }
}

impl Matchers {
    /// What a cluster that does not match at all would have needed.
    fn lacking(&self, origin: &Origin<'_>) -> String {
        let mut lacking = Vec::new();
        let ip = origin.ip.map(|ip| ip.to_string()).unwrap_or_default();
        lacks(&mut lacking, "address", &ip, "networks", &self.cidrs);
        lacks(&mut lacking, "hostname", origin.hostname, "patterns", &self.hostnames);
        lacks(&mut lacking, "IDC", origin.idc, "IDCs", &self.idcs);
        if !self.location.is_empty() {
            let location = [self.location.join("|")];
            lacks(&mut lacking, "location", origin.location, "location", &location);
        }
        if lacking.is_empty() {
            return "it has no scopes and is not the default".to_owned();
        }
        lacking.join("; ")
    }
}

fn lacks<T: Display>(lacking: &mut Vec<String>, what: &str, theirs: &str, scopes: &str, ours: &[T]) {
    if ours.is_empty() {
        return;
    }
    let ours: Vec<String> = ours.iter().map(ToString::to_string).collect();
    let ours = ours.join(", ");
    lacking.push(match theirs {
        "" => format!("the caller says no {what} for its {scopes} {ours}"),
        theirs => format!("the caller's {what} {theirs} is not in its {scopes} {ours}"),
    });
}

impl Reason {
    fn rule(&self) -> Rule {
        match self {
            Self::Pinned | Self::SeedPeer => Rule::Registered,
            Self::Cidr(_) => Rule::Cidr,
            Self::Hostname(_) => Rule::Hostname,
            Self::Idc(_) => Rule::Idc,
            Self::Location(_) => Rule::Location,
            Self::Default => Rule::Default,
        }
    }
}

impl Rule {
    fn what(self) -> &'static str {
        match self {
            Self::Registered => "where a seed peer is registered",
            Self::Cidr => "the address",
            Self::Hostname => "the hostname",
            Self::Idc => "the IDC",
            Self::Location => "the location",
            Self::Default => "the default",
        }
    }
}

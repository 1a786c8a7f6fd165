//! Which known key an unknown one was probably meant to be.

/// Below this likeness (0 to 1) a suggestion would be a guess.
const ALIKE: f64 = 0.7;

/// The most similar of `known`, if any is similar enough. Case counts little: `caCert` is near `cacert`.
pub(super) fn to(key: &str, known: &[String]) -> Option<String> {
    let key = key.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&key, &candidate.to_lowercase()), candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate.clone())
}

/// What to write instead, as the end of a sentence.
pub(super) fn remedy(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None if known.is_empty() => "no key is known here".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_key_and_nonsense_finds_none() {
        let known: Vec<String> = ["announceInterval", "scheduleTimeout", "maxScheduleCount", "caCert"]
            .map(str::to_owned)
            .into();
        assert_eq!(to("anounceInterval", &known).as_deref(), Some("announceInterval"));
        assert_eq!(to("cacert", &known).as_deref(), Some("caCert"));
        assert_eq!(to("qqq", &known), None);
        assert_eq!(to("x", &[]), None);
    }
}

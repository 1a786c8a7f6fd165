//! Bodies without what nobody may read later.

use serde_json::Value;

/// What stands for a secret.
const REDACTED: &str = "redacted";
/// What stands for a body that is too long to keep.
const TOO_LONG: &str = "too long to be kept";
/// Bytes of a body that are kept.
const MAX_BYTES: usize = 16 * 1024;
/// Parts of the names of fields that hold secrets, or may: headers carry credentials, URLs signatures.
const SECRET: [&str; 8] = [
    "password",
    "token",
    "secret",
    "credential",
    "authorization",
    "header",
    "key",
    "url",
];

/// The field of a job that holds its arguments.
const JOB_ARGS: &str = "args";

/// A body as it is kept: nothing if it is no JSON.
pub(crate) fn redacted(body: &[u8]) -> Option<Value> {
    let mut value: Value = serde_json::from_slice(body).ok()?;
    if body.len() > MAX_BYTES {
        return Some(Value::from(TOO_LONG));
    }
    redact(&mut value, false);
    Some(value)
}

/// `of_job`: within a job's arguments.
fn redact(value: &mut Value, of_job: bool) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.to_ascii_lowercase();
                // A list of patterns of URLs, as block lists have, is no URL. A job has real ones.
                let is_patterns = name == "urls" && !of_job;
                if SECRET.iter().any(|secret| name.contains(secret)) && !is_patterns {
                    *value = Value::from(REDACTED);
                } else {
                    redact(value, of_job || name == JOB_ARGS);
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| redact(value, of_job)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_holds_a_secret_is_not_kept_wherever_it_stands() {
        let body = json!({
            "name": "x", "old_password": "a", "args": [{"Authorization": "b", "headers": {"x": "c"}, "scope": "all"}],
            "block_list": {"urls": ["^http:"]},
        });
        let kept = redacted(body.to_string().as_bytes()).unwrap();
        assert_eq!(
            kept,
            json!({
                "name": "x", "old_password": "redacted",
                "args": [{"Authorization": "redacted", "headers": "redacted", "scope": "all"}],
                "block_list": {"urls": ["^http:"]},
            })
        );
        let job = json!({"type": "preheat", "args": {"urls": ["https://o/f?Signature=x"], "tag": "t"}});
        let kept = redacted(job.to_string().as_bytes()).unwrap();
        assert_eq!(
            kept,
            json!({"type": "preheat", "args": {"urls": "redacted", "tag": "t"}})
        );
        assert_eq!(redacted(b"password=x"), None);
    }

    #[test]
    fn a_body_that_is_too_long_is_not_kept() {
        let body = json!({"bio": "x".repeat(MAX_BYTES)}).to_string();
        assert_eq!(redacted(body.as_bytes()), Some(json!("too long to be kept")));
    }
}

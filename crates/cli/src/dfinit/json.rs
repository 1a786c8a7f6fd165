//! Adds a member to an object in a JSON text and leaves every other letter as it is. Pure.

/// Where an object stands in a text.
struct Object {
    /// Behind its opening brace.
    begin: usize,
    /// Its closing brace.
    end: usize,
    /// Behind its last member, if it has any.
    last: Option<usize>,
    /// Where the value of the member that was asked for begins.
    found: Option<usize>,
}

/// The text with `"key": value` as a new last member of the object at `path`, objects on the way included. The text must
/// be a JSON object that has no such member; whatever else it is comes back as `None`.
pub(super) fn with_member(text: &str, path: &[&str], key: &str, value: &str) -> Option<String> {
    let mut object = object_at(text, skip_space(text, 0), path.first().copied())?;
    for (depth, name) in path.iter().enumerate() {
        let Some(found) = object.found else {
            // The rest of the way does not exist.
            let missing = &path[depth + 1..];
            let inner = missing
                .iter()
                .rev()
                .fold(format!("{{{key:?}: {value}}}"), |inner, name| {
                    format!("{{{name:?}: {inner}}}")
                });
            return Some(insert(text, &object, name, &inner));
        };
        object = object_at(text, found, path.get(depth + 1).copied())?;
    }
    Some(insert(text, &object, key, value))
}

/// Puts the member where the others end, on a line of its own if they stand on lines of their own.
fn insert(text: &str, object: &Object, key: &str, value: &str) -> String {
    let (at, comma) = match object.last {
        Some(last) => (last, ","),
        None => (object.begin, ""),
    };
    let line_begin = text[..object.end].rfind('\n').map_or(0, |newline| newline + 1);
    let outer: String = text[line_begin..object.end]
        .chars()
        .take_while(|c| c.is_whitespace())
        .collect();
    let is_in_lines = text[object.begin..object.end].contains('\n') || object.last.is_none() && object.begin == 1;
    if !is_in_lines {
        let space = if object.last.is_some() { " " } else { "" };
        return format!("{}{comma}{space}{key:?}: {value}{}", &text[..at], &text[at..]);
    }
    let inner = indent_of(text, object).unwrap_or_else(|| format!("{outer}  "));
    let rest = match object.last {
        Some(_) => text[at..].to_owned(),
        None => format!("\n{outer}{}", &text[object.end..]),
    };
    format!("{}{comma}\n{inner}{key:?}: {value}{rest}", &text[..at])
}

/// What stands in front of the object's first member on its line.
fn indent_of(text: &str, object: &Object) -> Option<String> {
    object.last?;
    let members = &text[object.begin..object.end];
    let first = members.find('"')?;
    let space = &members[..first];
    space.rfind('\n').map(|newline| space[newline + 1..].to_owned())
}

fn object_at(text: &str, at: usize, wanted: Option<&str>) -> Option<Object> {
    let bytes = text.as_bytes();
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    let mut object = Object {
        begin: at + 1,
        end: 0,
        last: None,
        found: None,
    };
    let mut at = skip_space(text, at + 1);
    loop {
        match bytes.get(at)? {
            b'}' => {
                object.end = at;
                return Some(object);
            }
            b',' => at = skip_space(text, at + 1),
            b'"' => {
                let name_end = skip_value(text, at)?;
                let name: String = serde_json::from_str(&text[at..name_end]).ok()?;
                let colon = skip_space(text, name_end);
                let begin = skip_space(text, colon + 1);
                if wanted == Some(&name) {
                    object.found = Some(begin);
                }
                let end = skip_value(text, begin)?;
                object.last = Some(end);
                at = skip_space(text, end);
            }
            _ => return None,
        }
    }
}

fn skip_space(text: &str, at: usize) -> usize {
    let rest = text.get(at..).unwrap_or_default();
    at + (rest.len() - rest.trim_start().len())
}

/// The end of the value that begins here.
fn skip_value(text: &str, at: usize) -> Option<usize> {
    let mut stream = serde_json::Deserializer::from_str(text.get(at..)?).into_iter::<serde::de::IgnoredAny>();
    stream.next()?.ok()?;
    Some(at + stream.byte_offset())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(text: &str) -> String {
        let once = with_member(text, &["proxies"], "http-proxy", "\"http://p\"").unwrap();
        let value: serde_json::Value = serde_json::from_str(&once).unwrap();
        assert_eq!(value["proxies"]["http-proxy"], "http://p");
        once
    }

    #[test]
    fn a_member_is_added_in_the_way_the_others_are_written() {
        assert_eq!(
            added("{\n    \"log-driver\": \"json-file\",\n    \"mtu\": 1450\n}\n"),
            "{\n    \"log-driver\": \"json-file\",\n    \"mtu\": 1450,\n    \"proxies\": {\"http-proxy\": \"http://p\"}\n}\n"
        );
        assert_eq!(
            added("{\"mtu\": 1450}"),
            "{\"mtu\": 1450, \"proxies\": {\"http-proxy\": \"http://p\"}}"
        );
        assert_eq!(added("{}\n"), "{\n  \"proxies\": {\"http-proxy\": \"http://p\"}\n}\n");
    }

    #[test]
    fn an_object_that_is_there_is_added_to() {
        assert_eq!(
            added("{\n  \"proxies\": {\n    \"no-proxy\": \"a,}b\"\n  },\n  \"x\": [1, {\"y\": 2}]\n}\n"),
            "{\n  \"proxies\": {\n    \"no-proxy\": \"a,}b\",\n    \"http-proxy\": \"http://p\"\n  },\n  \"x\": [1, {\"y\": 2}]\n}\n"
        );
        assert_eq!(
            added("{\"proxies\": {}}"),
            "{\"proxies\": {\"http-proxy\": \"http://p\"}}"
        );
    }

    #[test]
    fn what_is_no_object_is_not_added_to() {
        for text in ["", "[]", "{\"proxies\": 3}", "{\"a\" 1}", "{"] {
            assert!(with_member(text, &["proxies"], "k", "1").is_none(), "{text}");
        }
    }
}

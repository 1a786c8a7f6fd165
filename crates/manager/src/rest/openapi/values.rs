//! What values may be, as far as that follows from their Rust types and from rules that all requests keep: whole numbers are
//! as wide as their type, texts have no control characters.

use crate::users::{ACTIONS, OBJECTS};
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// Of texts in requests, but those that have a pattern of their own.
const NO_CONTROL_CHARACTERS: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
/// Longest text that is looked for in a list.
pub(in crate::rest) const MAX_QUERY_CHARS: usize = 1024;
const SCHEMAS: &str = "#/components/schemas/";

/// Completes a whole document.
pub(super) fn complete(document: &mut Value) {
    numbers(document);
    let mut of_requests = BTreeSet::new();
    for operation in operations(document) {
        if let Some(body) = operation.get("requestBody") {
            reach(document, body, &mut of_requests);
        }
    }
    for name in of_requests {
        texts(&mut document["components"]["schemas"][&name]);
    }
    for operation in operations_mut(document) {
        for parameter in operation
            .get_mut("parameters")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
        {
            let schema = &mut parameter["schema"];
            texts(schema);
            if is_text(schema) && schema.get("maxLength").is_none() {
                schema["maxLength"] = json!(MAX_QUERY_CHARS);
            }
        }
    }
    let right = &mut document["components"]["schemas"]["Permission"]["properties"];
    let objects = OBJECTS.into_iter().chain(["*"]);
    right["object"]["enum"] = objects.collect();
    right["action"]["enum"] = ACTIONS.into_iter().collect();
}

fn operations(document: &Value) -> impl Iterator<Item = &Value> {
    let paths = document["paths"].as_object().into_iter().flat_map(Map::values);
    paths.filter_map(Value::as_object).flat_map(Map::values)
}

fn operations_mut(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(Map::values_mut);
    paths.filter_map(Value::as_object_mut).flat_map(Map::values_mut)
}

/// Formats that only Rust has become those of JSON Schema, with limits.
fn numbers(value: &mut Value) {
    if let Value::Object(schema) = value {
        let wide = match schema.get("format").and_then(Value::as_str) {
            Some("u-int8") => Some(("int32", u64::from(u8::MAX))),
            Some("u-int16") => Some(("int32", u64::from(u16::MAX))),
            Some("u-int32") => Some(("int64", u64::from(u32::MAX))),
            // Databases keep no more.
            Some("u-int64") => Some(("int64", i64::MAX.unsigned_abs())),
            _ => None,
        };
        if let Some((format, maximum)) = wide {
            schema.insert("format".to_owned(), json!(format));
            schema.entry("maximum").or_insert(json!(maximum));
        }
    }
    inside(value).for_each(numbers);
}

fn texts(value: &mut Value) {
    if is_text(value) && value.get("pattern").is_none() {
        value["pattern"] = json!(NO_CONTROL_CHARACTERS);
    }
    inside(value).for_each(texts);
}

/// A text that may be any, or one whose format is for people.
fn is_text(schema: &Value) -> bool {
    let string = |of: &Value| of == "string";
    let is_string = string(&schema["type"]) || schema["type"].as_array().is_some_and(|types| types.iter().any(string));
    let free = match schema.get("format").and_then(Value::as_str) {
        None | Some("password") => true,
        Some(_) => false,
    };
    is_string && free && schema.get("enum").is_none()
}

fn inside(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Object(fields) => Box::new(fields.values_mut()),
        Value::Array(entries) => Box::new(entries.iter_mut()),
        _ => Box::new(std::iter::empty()),
    }
}

/// Adds the names of all schemas that this value refers to.
fn reach(document: &Value, value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            let name = fields
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|to| to.strip_prefix(SCHEMAS));
            if let Some(name) = name
                && names.insert(name.to_owned())
            {
                reach(document, &document["components"]["schemas"][name], names);
            }
            fields.values().for_each(|field| reach(document, field, names));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| reach(document, entry, names)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_requests_hold_is_bounded_and_what_answers_hold_is_left() {
        let mut document = json!({
            "paths": {"/x": {"post": {
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/A"}}}},
                "parameters": [{"name": "q", "schema": {"type": ["string", "null"]}}],
            }}},
            "components": {"schemas": {
                "A": {"properties": {"b": {"$ref": "#/components/schemas/B"}, "n": {"type": "integer", "format": "u-int16"}}},
                "B": {"items": {"type": "string"}},
                "C": {"properties": {"t": {"type": "string"}, "d": {"type": "string", "format": "date-time"}}},
            }},
        });
        complete(&mut document);
        let schemas = &document["components"]["schemas"];
        assert_eq!(schemas["A"]["properties"]["n"]["maximum"], 65535);
        assert_eq!(schemas["A"]["properties"]["n"]["format"], "int32");
        assert_eq!(schemas["B"]["items"]["pattern"], NO_CONTROL_CHARACTERS);
        assert_eq!(schemas["C"]["properties"]["t"].get("pattern"), None);
        let query = &document["paths"]["/x"]["post"]["parameters"][0]["schema"];
        assert_eq!(query["maxLength"], 1024);
    }
}

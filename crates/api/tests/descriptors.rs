//! Our .proto files against the descriptors that Dragonfly publishes (crate `dragonfly-api` 2.3.8, Apache-2.0): every
//! message, field, enum value and method must agree in name, number and type.
//!
//! `prost_reflect` reads both sides; what is compared is a flat text per definition, so that a failure names the line.

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use std::collections::BTreeSet;

const PUBLISHED: &[u8] = include_bytes!("fixtures/dragonfly-api-2.3.8.descriptor.bin");

/// SHA-256 of the fixture, so that nobody mends a difference by editing the wrong side.
const PUBLISHED_SHA256: &str = "eabacb0c4f150c6066bfcd03e0e56d83efcd14cffc100da9bb2876c54bf088e9";

#[test]
fn every_definition_agrees_with_the_published_descriptors() {
    let published = definitions(PUBLISHED);
    let ours = definitions(dragonfly_api::FILE_DESCRIPTOR_SET);
    let missing: Vec<_> = published.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&published).collect();
    assert!(
        missing.is_empty() && extra.is_empty(),
        "we lack {missing:#?}\nwe add {extra:#?}"
    );
    assert!(
        published.len() > 900,
        "the fixture holds only {} definitions",
        published.len()
    );
}

#[test]
fn the_fixture_is_the_published_one() {
    use sha2::Digest as _;
    assert_eq!(hex::encode(sha2::Sha256::digest(PUBLISHED)), PUBLISHED_SHA256);
}

fn definitions(descriptor_set: &[u8]) -> BTreeSet<String> {
    let pool = DescriptorPool::decode(descriptor_set).expect("a descriptor set");
    let ours = |name: &str| name.contains(".v2");
    let mut lines = BTreeSet::new();
    for message in pool.all_messages().filter(|m| ours(m.full_name())) {
        message_lines(&message, &mut lines);
    }
    for values in pool.all_enums().filter(|e| ours(e.full_name())) {
        enum_lines(&values, &mut lines);
    }
    for service in pool.services().filter(|s| ours(s.full_name())) {
        for method in service.methods() {
            lines.insert(format!(
                "rpc {}({}{}) -> {}{}",
                method.full_name(),
                if method.is_client_streaming() { "stream " } else { "" },
                method.input().full_name(),
                if method.is_server_streaming() { "stream " } else { "" },
                method.output().full_name(),
            ));
        }
    }
    lines
}

fn message_lines(message: &MessageDescriptor, lines: &mut BTreeSet<String>) {
    lines.insert(format!("message {}", message.full_name()));
    for range in message.reserved_ranges() {
        lines.insert(format!("reserved {} {range:?}", message.full_name()));
    }
    for field in message.fields() {
        lines.insert(field_line(&field));
    }
}

fn field_line(field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        scalar => format!("{scalar:?}"),
    };
    let oneof = field.containing_oneof().map(|o| o.name().to_owned());
    format!(
        "{} = {} {kind} {:?} {oneof:?}",
        field.full_name(),
        field.number(),
        field.cardinality()
    )
}

fn enum_lines(values: &EnumDescriptor, lines: &mut BTreeSet<String>) {
    for value in values.values() {
        lines.insert(format!(
            "enum {} {} = {}",
            values.full_name(),
            value.name(),
            value.number()
        ));
    }
}

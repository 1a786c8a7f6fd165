//! Addresses, as the description of the API says them. These types only describe; requests hold a [`std::net::IpAddr`].

use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// An address of IPv4 or IPv6.
#[derive(Debug, Clone, Copy)]
pub struct Address;

/// An address to look for; empty: any.
#[derive(Debug, Clone, Copy)]
pub struct AddressSought;

fn either() -> AnyOfBuilder {
    let form = |format| {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(format)))
    };
    AnyOfBuilder::new()
        .item(form(KnownFormat::Ipv4))
        .item(form(KnownFormat::Ipv6))
}

impl PartialSchema for Address {
    fn schema() -> RefOr<Schema> {
        either().description(Some("An address of IPv4 or IPv6")).into()
    }
}

impl PartialSchema for AddressSought {
    fn schema() -> RefOr<Schema> {
        let empty = ObjectBuilder::new().schema_type(Type::String).enum_values(Some([""]));
        either().item(empty).into()
    }
}

impl ToSchema for Address {}

impl ToSchema for AddressSought {}

//! Addresses, as the description of the API says them.

use utoipa::ToSchema;
use utoipa::openapi::schema::{AnyOfBuilder, KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};

/// An address of IPv4 or IPv6. It only describes; requests hold a [`std::net::IpAddr`].
#[derive(Debug, Clone, Copy)]
pub struct Address;

impl utoipa::PartialSchema for Address {
    fn schema() -> RefOr<Schema> {
        let form = |format| {
            ObjectBuilder::new()
                .schema_type(Type::String)
                .format(Some(SchemaFormat::KnownFormat(format)))
        };
        AnyOfBuilder::new()
            .item(form(KnownFormat::Ipv4))
            .item(form(KnownFormat::Ipv6))
            .description(Some("An address of IPv4 or IPv6"))
            .into()
    }
}

impl ToSchema for Address {}

//! JSON in which what is to be an object is one. By itself, serde takes a list for the fields of a struct, one after the
//! other, which nobody who writes one means.

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{DeserializeOwned, Deserializer, Error as _, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::{Error, Value};

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Error> {
    T::deserialize(Strict(serde_json::from_slice(body)?))
}

struct Strict(Value);

impl IntoDeserializer<'_, Error> for Strict {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for Strict {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(entries) => {
                let mut entries = SeqDeserializer::new(entries.into_iter().map(Strict));
                let value = visitor.visit_seq(&mut entries)?;
                entries.end().map(|()| value)
            }
            Value::Object(fields) => {
                let mut fields = MapDeserializer::new(fields.into_iter().map(|(name, value)| (name, Strict(value))));
                let value = visitor.visit_map(&mut fields)?;
                fields.end().map(|()| value)
            }
            plain => plain.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.0 {
            Value::Array(_) => Err(Error::invalid_type(Unexpected::Seq, &"an object")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dragonfly_api::rest::{CreateScheduler, UpdateCluster};

    #[test]
    fn a_list_is_no_object_wherever_it_stands() {
        for body in [
            "[null, null]",
            r#"{"seed_peer_cluster_config": {"block_list": [null]}}"#,
            "[]",
        ] {
            let error = read::<UpdateCluster>(body.as_bytes()).unwrap_err().to_string();
            assert!(error.contains("expected an object"), "{body}: {error}");
        }
    }

    #[test]
    fn everything_else_is_read_as_ever() {
        let body = r#"{"host_name": "h", "ip": "10.0.0.1", "port": 8002, "scheduler_cluster_id": 1, "idc": null,
            "features": ["schedule"], "config": {"manager_keep_alive_interval": 5000000000}, "more": [{}]}"#;
        let read: CreateScheduler = read(body.as_bytes()).unwrap();
        assert_eq!(read, serde_json::from_str(body).unwrap());
        assert!(
            super::read::<CreateScheduler>(b"{")
                .unwrap_err()
                .to_string()
                .contains("EOF")
        );
    }
}

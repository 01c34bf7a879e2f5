//! What is sent is an object, with its fields by name.
//!
//! serde would also take a list of the fields in their order, which no document describes and which changes its meaning with
//! the next field. So every type of a request says `#[serde(remote = "Self")]`, which makes its reader an ordinary function,
//! and [`objects!`] lets that function see objects alone, at any depth.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use std::fmt::Formatter;
use std::marker::PhantomData;

/// A type that [`objects!`] reads.
pub(super) trait Object: Sized {
    /// With what serde made for it.
    fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error>;
}

/// Only objects.
pub(super) struct Only<T>(pub(super) PhantomData<T>);

impl<'de, T: Object> Visitor<'de> for Only<T> {
    type Value = T;

    fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::read(MapAccessDeserializer::new(map))
    }
}

/// `Serialize` and `Deserialize` for types with `#[serde(remote = "Self")]`.
macro_rules! objects {
    ($($type:ident),* $(,)?) => {$(
        impl $crate::api::types::object::Object for $type {
            fn read<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                // The one that serde made: an inherent function comes before that of a trait.
                $type::deserialize(from)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_map($crate::api::types::object::Only(std::marker::PhantomData))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                $type::serialize(self, to)
            }
        }
    )*};
}
pub(super) use objects;

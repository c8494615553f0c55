//! JSON as tokens may use it: I-JSON (RFC 7493) with bounds.
//!
//! `serde_json` alone keeps the last of two members with one name, where another reader may keep
//! the first (RFC 8725 section 2.4 has the attacks); here a second one is an error, at any depth.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Deepest nesting: a bare number is depth 0.
const DEPTH_MAX: u8 = 16;
/// Most members of one object; keeps the search for doubles short.
const MEMBERS_MAX: usize = 64;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Json {
    Null,
    Bool(bool),
    /// Finite. Integers beyond 2^53 are rounded, which no claim read here can notice.
    Number(f64),
    Text(String),
    List(Vec<Json>),
    Object(Object),
}

/// The members in their order; no name twice.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Object(Vec<(String, Json)>);

impl Object {
    /// The object that `text` is, and nothing around it but white space.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let value = Node { depth: 0 }.deserialize(&mut deserializer).ok()?;
        deserializer.end().ok()?;
        match value {
            Json::Object(object) => Some(object),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

/// One value, `depth` levels below the outermost.
#[derive(Clone, Copy)]
struct Node {
    depth: u8,
}

impl Node {
    fn below<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == DEPTH_MAX {
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth: self.depth + 1 })
    }
}

impl<'de> DeserializeSeed<'de> for Node {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value as f64))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Json, E> {
        if !value.is_finite() {
            return Err(E::custom("not finite"));
        }
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut items = Vec::new();
        while let Some(item) = access.next_element_seed(below)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut object = Object::default();
        // Names are compared as decoded, so that "exp" and "\u0065xp" are one name.
        while let Some(name) = access.next_key::<String>()? {
            if object.0.len() == MEMBERS_MAX || object.contains(&name) {
                return Err(de::Error::custom("a member twice, or too many"));
            }
            let value = access.next_value_seed(below)?;
            object.0.push((name, value));
        }
        Ok(Json::Object(object))
    }
}

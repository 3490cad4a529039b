//! The loose shapes that resource files allow, read into one strict shape: a scalar where a
//! list is meant, null for nothing, `yes` for true.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// One text, or a list of texts, or null.
struct Texts(Vec<String>);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextsVisitor).map(Texts)
    }
}

struct TextsVisitor;

fn not_text<E: de::Error>(what: &str) -> E {
    E::custom(format_args!("expected text, found the {what}; put it in quotes"))
}

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(vec![text.to_owned()])
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Self::Value, E> {
        Ok(vec![text])
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Err(not_text(&format!("truth value {value}")))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Err(not_text(&format!("number {value}")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Err(not_text(&format!("number {value}")))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Err(not_text(&format!("number {value}")))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut list = Vec::new();
        while let Some(Text(text)) = seq.next_element()? {
            list.push(text);
        }
        Ok(list)
    }
}

/// One text; numbers and truth values are refused with the remedy.
struct Text(String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Text)
    }
}

struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<String, E> {
        Err(not_text(&format!("truth value {value}")))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<String, E> {
        Err(not_text(&format!("number {value}")))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<String, E> {
        Err(not_text(&format!("number {value}")))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<String, E> {
        Err(not_text(&format!("number {value}")))
    }
}

/// For `deserialize_with`: a list of texts.
pub(crate) fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Texts::deserialize(deserializer).map(|texts| texts.0)
}

/// For `deserialize_with`: one optional text, `""` counting as none.
pub(crate) fn maybe_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = Option::<Text>::deserialize(deserializer)?;
    Ok(text.map(|text| text.0).filter(|text| !text.is_empty()))
}

/// For `deserialize_with`: name → one text.
pub(crate) fn text_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let map = deserializer.deserialize_any(MapVisitor::<Text>::new())?;
    Ok(map.into_iter().map(|(key, text)| (key, text.0)).collect())
}

/// For `deserialize_with`: name → list of texts.
pub(crate) fn texts_map<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, Vec<String>>, D::Error> {
    let map = deserializer.deserialize_any(MapVisitor::<Texts>::new())?;
    Ok(map.into_iter().map(|(key, texts)| (key, texts.0)).collect())
}

/// A map whose keys are told apart: a key given twice is an error. Null is an empty map.
struct MapVisitor<T>(std::marker::PhantomData<T>);

impl<T> MapVisitor<T> {
    fn new() -> Self {
        Self(std::marker::PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for MapVisitor<T> {
    type Value = BTreeMap<String, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map of names to texts")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_none<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(BTreeMap::new())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((Text(key), value)) = access.next_entry::<Text, T>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key `{key}` is there twice")));
            }
            map.insert(key, value);
        }
        Ok(map)
    }
}

/// For `deserialize_with`: true or false, also as `yes`, `no`, `on`, `off`.
pub(crate) fn maybe_flag<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<bool>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Loose {
        Bool(bool),
        Text(String),
        Null(()),
    }
    match Loose::deserialize(deserializer)? {
        Loose::Bool(flag) => Ok(Some(flag)),
        Loose::Null(()) => Ok(None),
        Loose::Text(text) => match text.to_ascii_lowercase().as_str() {
            "yes" | "true" | "on" => Ok(Some(true)),
            "no" | "false" | "off" => Ok(Some(false)),
            _ => Err(de::Error::custom(format_args!("expected true or false, found `{text}`"))),
        },
    }
}

/// Label keys with the values that each accepts. `'*': '*'` selects everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector(pub BTreeMap<String, Vec<String>>);

impl LabelSelector {
    /// `'*': '*'`.
    #[must_use]
    pub fn everything() -> Self {
        Self(BTreeMap::from([("*".to_owned(), vec!["*".to_owned()])]))
    }

    /// Whether this selects everything, resources without labels included.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.0.len() == 1
            && self
                .0
                .get("*")
                .is_some_and(|values| matches!(values.as_slice(), [star] if star == "*"))
    }
}

impl Serialize for LabelSelector {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, values)| (key, OneOrMany(values))))
    }
}

struct OneOrMany<'a>(&'a [String]);

impl Serialize for OneOrMany<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [one] => serializer.serialize_str(one),
            many => serializer.collect_seq(many),
        }
    }
}

impl<'de> Deserialize<'de> for LabelSelector {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        texts_map(deserializer).map(Self)
    }
}

//! Settings that are a name, or a table of a name and its parameters: `"polynomial"` or `{ name =
//! "polynomial", power = 2.0 }`.

use serde::de::{DeserializeOwned, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A name with its parameters.
pub(crate) struct Named {
    pub(crate) name: String,
    parameters: Map<String, Value>,
}

impl Named {
    /// Returns a name without parameters.
    pub(crate) fn plain(name: &str) -> Self {
        Self { name: name.into(), parameters: Map::new() }
    }

    /// Returns a name with the fields of a struct as its parameters.
    pub(crate) fn with(name: &str, parameters: &impl Serialize) -> Self {
        let Ok(Value::Object(parameters)) = serde_json::to_value(parameters) else {
            unreachable!("parameters are a struct of plain data")
        };
        Self { name: name.into(), parameters }
    }

    /// Returns `value`, which has no parameters.
    pub(crate) fn without_parameters<T>(self, value: T) -> Result<T, String> {
        match self.parameters.keys().next() {
            None => Ok(value),
            Some(key) => Err(format!("`{}` has no parameter `{key}`; leave it out", self.name)),
        }
    }

    /// Reads the parameters as the fields of a struct.
    pub(crate) fn parameters<T: DeserializeOwned>(self) -> Result<T, String> {
        serde_json::from_value(Value::Object(self.parameters)).map_err(|error| error.to_string())
    }

    /// Returns the error for an unknown name.
    pub(crate) fn unknown(&self, known: &[&str]) -> String {
        format!("unknown variant `{}`, expected one of `{}`", self.name, known.join("`, `"))
    }
}

impl Serialize for Named {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.parameters.is_empty() {
            return serializer.serialize_str(&self.name);
        }
        let mut table = Map::from_iter([("name".to_owned(), Value::from(self.name.as_str()))]);
        table.extend(self.parameters.clone());
        table.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Named {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Named;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("a name, or a table of a name and its parameters")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Named, E> {
                Ok(Named::plain(name))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Named, A::Error> {
                let mut parameters = Map::deserialize(MapAccessDeserializer::new(map))?;
                match parameters.remove("name") {
                    Some(Value::String(name)) => Ok(Named { name, parameters }),
                    _ => Err(A::Error::missing_field("name")),
                }
            }
        }
        deserializer.deserialize_any(NameOrTable)
    }
}

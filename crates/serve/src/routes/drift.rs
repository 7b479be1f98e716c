//! Compares `openapi.json`, which is written by hand, with the table of routes and with the fields
//! that each route reads. `tests/server/routes.rs` compares it with answers.

use super::*;
use serde::Deserialize;
use serde::de::value::Error;
use serde::de::{Deserializer, Error as _, Visitor};
use serde_json::Value;
use std::collections::BTreeSet;

fn openapi() -> Value {
    serde_json::from_str(include_str!("../../openapi.json")).unwrap()
}

#[test]
fn every_route_is_described_and_nothing_else() {
    let described: BTreeSet<(String, String)> = openapi()["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes = ROUTES.iter().map(|(method, path, _)| (method.to_string(), path.to_string())).collect();
    assert_eq!(described, routes);
}

#[test]
fn every_field_is_described_and_nothing_else() {
    compare::<openai::EmbeddingsRequest>("EmbeddingsRequest");
    compare::<embed::EmbedRequest>("EmbedRequest");
    compare::<embed::EmbedAllRequest>("EmbedAllRequest");
    compare::<tokens::TokenizeRequest>("TokenizeRequest");
    compare::<tokens::DecodeRequest>("DecodeRequest");
    compare::<similarity::SimilarityRequest>("SimilarityRequest");
    compare::<similarity::SimilarityInputs>("SimilarityRequest/properties/inputs");
    compare::<similarity::SimilarityParameters>("SimilarityRequest/properties/parameters");
    compare::<similarity::MatrixRequest>("MatrixRequest");
    compare::<rerank::RerankRequest>("RerankRequest");
    compare::<predict::PredictRequest>("PredictRequest");
    compare::<search::SearchRequest>("SearchRequest");
    compare::<classify::ClassifyRequest>("ClassifyRequest");
}

#[test]
fn every_reference_has_a_target() {
    fn walk(api: &Value, value: &Value, found: &mut usize) {
        if let Some(reference) = value["$ref"].as_str() {
            assert!(api.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
            *found += 1;
        }
        match value {
            Value::Object(fields) => fields.values().for_each(|value| walk(api, value, found)),
            Value::Array(items) => items.iter().for_each(|value| walk(api, value, found)),
            _ => {}
        }
    }
    let api = openapi();
    let mut found = 0;
    walk(&api, &api, &mut found);
    assert!(found > 100, "{found} references");
    assert_eq!(api["info"]["version"], env!("CARGO_PKG_VERSION"));
}

/// Compares the fields that a type reads with those of a schema.
fn compare<T: for<'de> Deserialize<'de>>(schema: &str) {
    let api = openapi();
    let properties = api.pointer(&format!("/components/schemas/{schema}/properties")).expect(schema);
    let described: BTreeSet<String> = properties.as_object().unwrap().keys().cloned().collect();
    let mut fields: &'static [&'static str] = &[];
    assert!(T::deserialize(Fields(&mut fields)).is_err(), "it only reports its fields");
    assert_eq!(fields.iter().map(|field| field.to_string()).collect::<BTreeSet<_>>(), described, "{schema}");
}

/// Records the fields of a struct, and provides none.
struct Fields<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Fields<'_> {
    type Error = Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        _visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = fields;
        Err(Error::custom("the fields are known"))
    }

    fn deserialize_any<V: Visitor<'de>>(self, _visitor: V) -> Result<V::Value, Error> {
        Err(Error::custom("a request is a struct"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

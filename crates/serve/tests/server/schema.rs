//! Comparison of answers with `openapi.json`: the part of JSON Schema that it uses.

use serde_json::Value;
use std::sync::LazyLock;

static API: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(include_str!("../../openapi.json")).unwrap());

/// Checks that an answer fits the description of its route and status.
#[track_caller]
pub(crate) fn check(method: &str, path: &str, status: u16, body: &Value) {
    let status = status.to_string();
    let response = &API["paths"][path][method]["responses"][&status];
    assert!(!response.is_null(), "{method} {path} may not answer {status}: {body}");
    let schema = &resolve(response)["content"]["application/json"]["schema"];
    if let Err(wrong) = fits(schema, body, "answer") {
        panic!("{method} {path} {status}: {wrong}\n{body}");
    }
}

fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(reference) => API.pointer(reference.trim_start_matches('#')).expect(reference),
        None => value,
    }
}

fn fits(schema: &'static Value, value: &Value, place: &str) -> Result<(), String> {
    let schema = resolve(schema);
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits(choice, value, place).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{place}: fits {fitting} of the forms")) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(some) => some.iter().filter_map(Value::as_str).collect(),
        _ => return Ok(()),
    };
    if !types.iter().any(|name| is(name, value)) {
        return Err(format!("{place}: {value} is no {types:?}"));
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        return Err(format!("{place}: {value} is none of {allowed:?}"));
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        fits(&schema["items"], item, &format!("{place}[{index}]"))?;
    }
    let Some(fields) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        fields.get(name).ok_or_else(|| format!("{place}: {name} is missing"))?;
    }
    for (name, field) in fields {
        let described = match &schema["properties"][name] {
            Value::Null => &schema["additionalProperties"],
            described => described,
        };
        if described.is_null() {
            return Err(format!("{place}: {name} is not described"));
        }
        fits(described, field, &format!("{place}.{name}"))?;
    }
    Ok(())
}

fn is(name: &str, value: &Value) -> bool {
    match name {
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.is_u64() || value.is_i64(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    }
}

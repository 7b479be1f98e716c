//! The API's page: `openapi.json` in readable form.

use serde_json::Value;
use std::fmt::Write;
use std::sync::LazyLock;

static PAGE: LazyLock<String> = LazyLock::new(|| render(include_str!("../openapi.json")));

/// Returns the page.
pub(crate) fn page() -> &'static str {
    &PAGE
}

fn render(openapi: &str) -> String {
    let api: Value = serde_json::from_str(openapi).unwrap_or_default();
    let mut page = HEAD.to_owned();
    let text = |value: &Value| escape(value.as_str().unwrap_or_default());
    let _ = write!(page, "<h1>{}</h1><p>{}</p>", text(&api["info"]["title"]), text(&api["info"]["description"]));
    for (path, methods) in api["paths"].as_object().into_iter().flatten() {
        for (method, route) in methods.as_object().into_iter().flatten() {
            let method = method.to_uppercase();
            let _ =
                write!(page, "<section><h2><b>{method}</b> {}</h2><p>{}</p>", escape(path), text(&route["summary"]));
            if let Some(description) = route["description"].as_str() {
                let _ = write!(page, "<p>{}</p>", escape(description));
            }
            let body = &route["requestBody"]["content"]["application/json"]["schema"];
            fields(&mut page, resolve(&api, body));
            if let Some(example) = resolve(&api, body).get("example") {
                let _ = write!(
                    page,
                    "<pre>curl -s localhost:8080{path} -H 'content-type: application/json' -d '{}'</pre>",
                    escape(&example.to_string())
                );
            }
            let statuses = route["responses"].as_object().into_iter().flatten();
            let responses: Vec<String> = statuses
                .map(|(status, response)| format!("<b>{status}</b> {}", text(&resolve(&api, response)["description"])))
                .collect();
            let _ = write!(page, "<p>{}</p></section>", responses.join(" · "));
        }
    }
    page + "</main></html>\n"
}

/// Appends the table of a body's fields.
fn fields(page: &mut String, schema: &Value) {
    let Some(properties) = schema["properties"].as_object() else { return };
    let required: Vec<&str> = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    page.push_str("<table>");
    for (name, property) in properties {
        let needed = if required.contains(&name.as_str()) { " <i>required</i>" } else { "" };
        let described = escape(property["description"].as_str().unwrap_or_default());
        let _ = write!(page, "<tr><td><code>{}</code>{needed}</td><td>{described}</td></tr>", escape(name));
    }
    page.push_str("</table>");
}

/// Follows a `$ref`; returns any other value itself.
fn resolve<'a>(api: &'a Value, value: &'a Value) -> &'a Value {
    let pointer = value["$ref"].as_str().and_then(|reference| reference.strip_prefix('#'));
    pointer.and_then(|pointer| api.pointer(pointer)).unwrap_or(value)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

const HEAD: &str = r#"<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>Maana: the API</title><style>
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0}main{max-width:52rem;margin:0 auto;padding:1rem}
section{border-top:1px solid #8886;padding:.5rem 0}h2{font-size:1.1rem;font-family:ui-monospace,monospace}h2 b{color:#2a7}
table{border-collapse:collapse;width:100%}td{vertical-align:top;padding:.25rem .75rem .25rem 0;border-bottom:1px solid #8883}
td:first-child{white-space:nowrap}pre{overflow-x:auto;padding:.5rem;background:#8882;border-radius:.3rem}
</style></head><main>"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_every_route_and_has_no_external_links() {
        let page = page();
        for (_, path, _) in crate::routes::ROUTES {
            assert!(page.contains(&format!("</b> {path}</h2>")), "{path}");
        }
        assert!(!page.contains("https://") && !page.contains("http://"), "only its own address");
    }
}

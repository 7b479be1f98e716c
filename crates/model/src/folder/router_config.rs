//! `router_config.json` (in `Asym` of older versions `config.json`): the modules of each route, and
//! the routes of the tasks.

use super::module_entry::ModuleEntry;
use crate::ModelError;
use crate::json::{Fields, read_object};
use crate::router::Router;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The modality of all inputs.
const TEXT: &str = "text";

/// A router and the modules of its routes, by tower.
pub(super) struct Routes {
    pub(super) router: Router,
    pub(super) modules: Vec<Vec<ModuleEntry>>,
}

/// Reads the router whose folder is `place` within `folder`.
pub(super) fn read(folder: &Path, place: &Path) -> Result<Routes, ModelError> {
    let (newer, older) = ("router_config.json", "config.json");
    let mut path = folder.join(place).join(newer);
    let json = match read_object(&path)? {
        Some(json) => json,
        None => {
            let missing = ModelError::Missing {
                path: path.clone(),
                remedy: "`modules.json` names a Router; fetch the model again (`maana fetch NAME --again`)".into(),
            };
            path = folder.join(place).join(older);
            read_object(&path)?.filter(|json| json.get("structure").is_some()).ok_or(missing)?
        }
    };
    let config = RouterConfig::of(&json, &path)?;
    let router = config.router()?;
    let modules = router.routes.iter().map(|route| config.modules(route, place)).collect::<Result<_, _>>()?;
    Ok(Routes { router, modules })
}

/// The fields of the file.
struct RouterConfig<'a> {
    path: &'a Path,
    types: &'a serde_json::Map<String, Value>,
    structure: &'a serde_json::Map<String, Value>,
    default_route: Option<&'a str>,
    /// Routes by task and modality, either of which may be any.
    mappings: Vec<(Key, &'a str)>,
}

/// A task and a modality; none for any.
type Key = (Option<String>, Option<String>);

impl<'a> RouterConfig<'a> {
    fn of(json: &'a Value, path: &'a Path) -> Result<Self, ModelError> {
        let fields = Fields { json, path };
        let object = |name: &str| json[name].as_object().ok_or_else(|| fields.wrong(name, "an object"));
        let (types, structure) = (object("types")?, object("structure")?);
        if structure.is_empty() {
            return Err(ModelError::invalid(path, "`structure` has no route"));
        }
        for route in structure.keys() {
            if route.is_empty() || Path::new(route).file_name().is_none_or(|name| name != route.as_str()) {
                let reason = format!("`structure` has the route `{route}`, which cannot be the name of a folder");
                return Err(ModelError::invalid(path, reason));
            }
        }
        let no_parameters = Value::default();
        let parameters = json.get("parameters").unwrap_or(&no_parameters);
        let of_parameters = Fields { json: parameters, path };
        let first = structure.keys().next().map(String::as_str);
        let allow_empty_key = of_parameters.flag_or("allow_empty_key", true)?;
        let default_route = match json.pointer("/parameters/default_route") {
            None | Some(Value::Null) => first.filter(|_| allow_empty_key),
            Some(_) => Some(
                json["parameters"]["default_route"]
                    .as_str()
                    .ok_or_else(|| of_parameters.wrong("default_route", "the name of a route"))?,
            ),
        };
        let mut mappings = Vec::new();
        for (key, route) in json.pointer("/parameters/route_mappings").and_then(Value::as_object).into_iter().flatten()
        {
            let parsed = parse_key(key).ok_or_else(|| {
                let reason = format!("`route_mappings` has the key {key:?}; expected one such as \"('query', None)\"");
                ModelError::invalid(path, reason)
            })?;
            mappings.push((parsed, route.as_str().unwrap_or_default()));
        }
        let config = Self { path, types, structure, default_route, mappings };
        let named = config.mappings.iter().map(|(_, route)| ("route_mappings", *route));
        for (field, route) in named.chain(default_route.map(|route| ("default_route", route))) {
            if !structure.contains_key(route) {
                let reason = format!("`{field}` names the route `{route}`; the routes are {}", config.names());
                return Err(ModelError::invalid(path, reason));
            }
        }
        Ok(config)
    }

    fn names(&self) -> String {
        self.structure.keys().map(|route| format!("`{route}`")).collect::<Vec<_>>().join(", ")
    }

    /// Returns the route of a task, in the order in which the reference looks for it.
    fn route(&self, task: Option<&str>) -> Option<&'a str> {
        let mapped = |task: Option<&str>, modality: Option<&str>| {
            let found = self.mappings.iter().find(|((a, b), _)| a.as_deref() == task && b.as_deref() == modality);
            found.map(|(_, route)| *route)
        };
        let own = |name: &str| self.structure.get_key_value(name).map(|(route, _)| route.as_str());
        mapped(task, Some(TEXT))
            .or_else(|| mapped(task, None))
            .or_else(|| mapped(None, Some(TEXT)))
            .or_else(|| mapped(None, None))
            .or_else(|| task.and_then(own))
            .or_else(|| own(TEXT))
            .or_else(|| self.default_route.filter(|_| task.is_none()))
    }

    fn router(&self) -> Result<Router, ModelError> {
        let of_task = |task: &str| {
            self.route(Some(task)).ok_or_else(|| {
                let reason = format!(
                    "the task `{task}` has no route; the routes are {}. Name one in `parameters`: \
                     \"route_mappings\": {{\"('{task}', None)\": \"…\"}}",
                    self.names()
                );
                ModelError::invalid(self.path, reason)
            })
        };
        let (query, document, default) = (of_task("query")?, of_task("document")?, self.route(None));
        let mut routes: Vec<String> = default.into_iter().map(str::to_owned).collect();
        for route in self.structure.keys() {
            if [query, document].contains(&route.as_str()) {
                if !routes.contains(route) {
                    routes.push(route.clone());
                }
            } else if default != Some(route) {
                let reason = format!("the route `{route}` is that of no query, no document and no other text");
                return Err(ModelError::invalid(self.path, reason));
            }
        }
        let number = |route: &str| routes.iter().position(|name| name == route).expect("every reached route is listed");
        let (query, document) = (number(query), number(document));
        Ok(Router { query, document, has_default: default.is_some(), routes })
    }

    /// Lists the modules of a route, with their folders within that of the model.
    fn modules(&self, route: &str, place: &Path) -> Result<Vec<ModuleEntry>, ModelError> {
        let wrong = |what: String| ModelError::invalid(self.path, format!("route `{route}`: {what}"));
        let ids = self.structure[route].as_array().ok_or_else(|| wrong("expected a list of modules".into()))?;
        ids.iter()
            .map(|id| {
                let id = id.as_str().ok_or_else(|| wrong(format!("{id} is not the name of a module")))?;
                let class = self.types.get(id).and_then(Value::as_str);
                let class = class.ok_or_else(|| wrong(format!("`types` has no module `{id}`")))?;
                ModuleEntry::new(class, place.join(id), self.path)
            })
            .collect()
    }
}

/// Parses a key of `route_mappings`, which is a tuple as Python writes it. A modality of several
/// parts is one that no text has.
fn parse_key(key: &str) -> Option<Key> {
    let (task, modality) = key.trim().strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let part = |text: &str| -> Option<Option<String>> {
        let text = text.trim();
        if text == "None" {
            return Some(None);
        }
        let quoted = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
        let name = quoted('\'').or_else(|| quoted('"')).or_else(|| text.starts_with('(').then_some(text))?;
        Some(Some(name.to_owned()))
    };
    Some((part(task)?, part(modality)?))
}

/// Returns the content of the file: for each route the names of its modules, and the class of each
/// module.
pub(super) fn json(router: &Router, routes: &[Vec<(String, String)>]) -> Value {
    let mut types = serde_json::Map::new();
    let mut structure = serde_json::Map::new();
    for (route, modules) in router.routes.iter().zip(routes) {
        types.extend(modules.iter().map(|(name, class)| (name.clone(), class.clone().into())));
        structure.insert(route.clone(), modules.iter().map(|(name, _)| name.clone()).collect());
    }
    let mapped = [("query", router.query), ("document", router.document)].into_iter();
    let mappings: serde_json::Map<String, Value> = mapped
        .filter(|(task, tower)| router.routes[*tower] != *task)
        .map(|(task, tower)| (format!("('{task}', None)"), router.routes[tower].clone().into()))
        .collect();
    json!({
        "types": types,
        "structure": structure,
        "parameters": {
            "default_route": router.has_default.then(|| &router.routes[0]),
            "allow_empty_key": router.has_default,
            "route_mappings": mappings,
        },
    })
}

/// Returns the path of the file within the folder of a model.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("router_config.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_tuples_of_python() {
        let key = |task: &str, modality: &str| {
            let part = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Some((part(task), part(modality)))
        };
        assert_eq!(parse_key("('query', 'text')"), key("query", "text"));
        assert_eq!(parse_key("(\"query\", None)"), key("query", ""));
        assert_eq!(parse_key("(None,None)"), key("", ""));
        assert_eq!(parse_key("(None, ('image', 'text'))"), key("", "('image', 'text')"));
        for wrong in ["query", "('query')", "(query, None)", "('query', 3)", "", "('query', None"] {
            assert_eq!(parse_key(wrong), None, "{wrong}");
        }
    }

    fn router(parameters: Value, routes: &[&str]) -> Result<Router, String> {
        let modules: serde_json::Map<String, Value> =
            routes.iter().map(|route| (route.to_string(), json!([]))).collect();
        let json = json!({"types": {}, "structure": modules, "parameters": parameters});
        let path = Path::new("router_config.json");
        let config = RouterConfig::of(&json, path).map_err(|error| error.to_string())?;
        config.router().map_err(|error| error.to_string())
    }

    #[test]
    fn routes_are_found_in_the_order_of_the_reference() {
        let routes = |parameters, names: &[&str]| {
            let router = router(parameters, names).unwrap();
            let name = |tower: usize| router.routes[tower].clone();
            (name(router.query), name(router.document), router.has_default.then(|| name(0)))
        };
        let expected = |query: &str, document: &str, default: &str| {
            let default = (!default.is_empty()).then(|| default.to_owned());
            (query.to_owned(), document.to_owned(), default)
        };
        let names = ["query", "document"];
        assert_eq!(routes(json!({}), &names), expected("query", "document", "query"));
        assert_eq!(routes(json!({"default_route": "document"}), &names), expected("query", "document", "document"));
        assert_eq!(routes(json!({"allow_empty_key": false}), &names), expected("query", "document", ""));
        let swapped = json!({"route_mappings": {"('query', 'text')": "document", "('document', None)": "query",
            "('query', None)": "query"}});
        assert_eq!(routes(swapped, &names), expected("document", "query", "query"));
        assert_eq!(routes(json!({"route_mappings": {"(None, None)": "a"}}), &["a"]), expected("a", "a", "a"));
        assert_eq!(routes(json!({}), &["text"]), expected("text", "text", "text"));
    }

    #[test]
    fn faults_name_the_field_and_the_remedy() {
        let error = |parameters, names: &[&str]| router(parameters, names).unwrap_err();
        let asked = error(json!({}), &["QRY", "DOC"]);
        assert!(asked.contains("task `query` has no route") && asked.contains("('query', None)"), "{asked}");
        assert!(
            error(json!({"default_route": "x"}), &["query", "document"])
                .contains("`default_route` names the route `x`")
        );
        assert!(error(json!({"default_route": 3}), &["query", "document"]).contains("default_route"));
        assert!(error(json!({}), &["query", "document", "image"]).contains("`image`"));
        assert!(error(json!({"route_mappings": {"query": "query"}}), &["query", "document"]).contains("key \"query\""));
        assert!(error(json!({}), &["../query", "document"]).contains("cannot be the name of a folder"));
        assert!(error(json!({}), &[]).contains("no route"));
    }
}

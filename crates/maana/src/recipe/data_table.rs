//! The table `[data]` of a recipe: one set of training data, or several.

use maana_data::SetSampler;
use maana_model::Role;
use maana_train::LossArguments;
use serde::de::{Error, MapAccess, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use std::fmt;

/// `[data]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DataTable {
    /// Files, folders or globs, relative to the recipe.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub train: Vec<String>,
    /// Text columns in the order that the loss sees them: the first is the query side. Default:
    /// all, in file order.
    pub columns: Option<Vec<String>>,
    /// The name of the data for the model card.
    pub name: Option<String>,
    /// Maximum number of rows to read.
    pub limit: Option<usize>,
    /// Prompts of the columns; those of several sets may have their own. Default: none.
    pub prompts: Option<Prompts>,
    /// Roles of the columns, which choose the towers of a model with a Router. Default: the first
    /// column holds queries, the others documents.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
    /// A column of lists of negatives, from which each epoch draws some.
    pub negatives: Option<Negatives>,
    /// Order of the batches of several sets. Default proportional.
    pub sampler: SetSampler,
    /// Several sets, in place of `train`.
    #[serde(deserialize_with = "named_sets", skip_serializing_if = "Vec::is_empty")]
    pub sets: Vec<SetTable>,
}

/// `[[data.sets]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetTable {
    /// The name, for messages, the log and the model card.
    pub name: String,
    /// Files, folders or globs, relative to the recipe.
    pub train: Vec<String>,
    /// As in `[data]`.
    #[serde(default)]
    pub columns: Option<Vec<String>>,
    /// As in `[data]`.
    #[serde(default)]
    pub limit: Option<usize>,
    /// Factor of the loss of its batches, above 0. Default 1.
    #[serde(default = "one", deserialize_with = "weight")]
    pub weight: f64,
    /// Default: those of `[data]`.
    #[serde(default)]
    pub prompts: Option<Prompts>,
    /// Default: those of `[data]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routes: Option<Routes>,
    /// As in `[data]`.
    #[serde(default)]
    pub negatives: Option<Negatives>,
    /// Its loss. Default: `[loss]`.
    #[serde(default)]
    pub loss: Option<LossArguments>,
}

/// A column of lists of negatives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Negatives {
    /// The column. Default `negatives`.
    #[serde(default = "negatives")]
    pub column: String,
    /// Number of texts that each epoch draws from each list, at least 1.
    #[serde(deserialize_with = "count")]
    pub count: usize,
}

/// Roles by the name of a column.
pub type Routes = BTreeMap<String, Route>;

/// The role of a column's texts, which chooses their tower.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Route {
    /// Queries.
    Query,
    /// Documents.
    Document,
}

impl Route {
    /// The role.
    pub fn role(self) -> Role {
        match self {
            Self::Query => Role::Query,
            Self::Document => Role::Document,
        }
    }
}

/// Prompts of the columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Prompts {
    /// Those that the model's folder has for queries and documents: `"model"`.
    OfModel,
    /// One for all columns: a text, or the name of one of the folder's prompts.
    All(String),
    /// By name of the column, each a text or the name of one of the folder's prompts. Columns that
    /// are not named have none.
    ByColumn(BTreeMap<String, String>),
}

/// Value of [`Prompts::OfModel`] in recipes.
const OF_MODEL: &str = "model";

impl DataTable {
    /// Returns all sets with what they take from `[data]`: several, or the one of `[data]` itself.
    pub fn all_sets(&self) -> Vec<SetTable> {
        if self.sets.is_empty() {
            let Self { train, columns, name, limit, prompts, routes, negatives, .. } = self.clone();
            let name = name.unwrap_or_default();
            return vec![SetTable { name, train, columns, limit, weight: 1.0, prompts, routes, negatives, loss: None }];
        }
        let with_shared = |set: &SetTable| {
            let prompts = set.prompts.as_ref().or(self.prompts.as_ref()).cloned();
            let routes = set.routes.as_ref().or(self.routes.as_ref()).cloned();
            SetTable { prompts, routes, ..set.clone() }
        };
        self.sets.iter().map(with_shared).collect()
    }

    /// Checks that every set has files, and that fields of a single set are not next to several.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.sets.is_empty() && self.train.is_empty() {
            return Err("[data] train is empty; name files, folders or globs".into());
        }
        let of_one = [
            ("train", !self.train.is_empty()),
            ("columns", self.columns.is_some()),
            ("name", self.name.is_some()),
            ("limit", self.limit.is_some()),
            ("negatives", self.negatives.is_some()),
        ];
        if let (false, Some((field, _))) = (self.sets.is_empty(), of_one.iter().find(|(_, given)| *given)) {
            return Err(format!("[data] {field} has no effect next to [[data.sets]]; move it into the sets"));
        }
        for set in self.all_sets() {
            let table = if self.sets.is_empty() { "[data]".into() } else { format!("[[data.sets]] `{}`:", set.name) };
            if set.train.is_empty() {
                return Err(format!("{table} train is empty; name files, folders or globs"));
            }
            if set.limit == Some(0) {
                return Err(format!("{table} limit is 0; expected at least 1; omit it for all rows"));
            }
        }
        Ok(())
    }
}

fn one() -> f64 {
    1.0
}

fn negatives() -> String {
    "negatives".into()
}

/// Reads a weight, so that the error of a bad one has its line.
fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let weight = f64::deserialize(deserializer)?;
    match weight > 0.0 && (weight as f32).is_finite() {
        true => Ok(weight),
        false => Err(D::Error::invalid_value(Unexpected::Float(weight), &"a weight above 0")),
    }
}

fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(D::Error::invalid_value(Unexpected::Unsigned(0), &"a number of texts to draw, at least 1")),
        count => Ok(count),
    }
}

/// Reads sets, which must have different names.
fn named_sets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SetTable>, D::Error> {
    let sets = Vec::<SetTable>::deserialize(deserializer)?;
    for (index, SetTable { name, .. }) in sets.iter().enumerate() {
        if name.trim().is_empty() {
            return Err(D::Error::custom("a set has an empty name; name every set"));
        }
        if sets[..index].iter().any(|earlier| earlier.name == *name) {
            return Err(D::Error::custom(format!("two sets are called `{name}`; give each its own name")));
        }
    }
    Ok(sets)
}

impl Serialize for Prompts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::OfModel => serializer.serialize_str(OF_MODEL),
            Self::All(prompt) => serializer.serialize_str(prompt),
            Self::ByColumn(prompts) => prompts.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Prompts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PromptsVisitor;
        impl<'de> Visitor<'de> for PromptsVisitor {
            type Value = Prompts;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table of columns and prompts, \"model\", or one prompt for all columns")
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<Prompts, E> {
                Ok(if value == OF_MODEL { Prompts::OfModel } else { Prompts::All(value.into()) })
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Prompts, A::Error> {
                let mut prompts = BTreeMap::new();
                while let Some((column, prompt)) = map.next_entry()? {
                    prompts.insert(column, prompt);
                }
                Ok(Prompts::ByColumn(prompts))
            }
        }
        deserializer.deserialize_any(PromptsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<DataTable, String> {
        let table: DataTable = toml::from_str(text).map_err(|error| error.to_string())?;
        table.check().map(|()| table)
    }

    #[test]
    fn one_set_and_several_are_read_alike() {
        let one = read("train = [\"a.jsonl\"]\nname = \"x\"\nprompts = \"query: \"").unwrap();
        let [set] = &one.all_sets()[..] else { panic!("one set") };
        assert_eq!((set.name.as_str(), set.weight, &set.loss), ("x", 1.0, &None));
        assert_eq!(set.prompts, Some(Prompts::All("query: ".into())));

        let several = "sampler = \"round_robin\"\nprompts = \"model\"\n[[sets]]\nname = \"a\"\ntrain = [\"a.jsonl\"]\n\
            weight = 2\nnegatives = { count = 3 }\n[[sets]]\nname = \"b\"\ntrain = [\"b.jsonl\"]\n\
            prompts = { anchor = \"query\" }\nloss = { name = \"cosent\", scale = 10 }\n";
        let table = read(several).unwrap();
        assert_eq!(table.sampler, SetSampler::RoundRobin);
        let [a, b] = &table.all_sets()[..] else { panic!("two sets") };
        assert_eq!((a.weight, b.weight, &a.prompts), (2.0, 1.0, &Some(Prompts::OfModel)));
        assert_eq!(a.negatives, Some(Negatives { column: "negatives".into(), count: 3 }));
        assert_eq!(b.prompts, Some(Prompts::ByColumn([("anchor".into(), "query".into())].into())));
        assert_eq!(b.loss.as_ref().unwrap().scale, Some(10.0));
        assert_eq!(read(&toml::to_string(&table).unwrap()).unwrap(), table, "written and read again");
    }

    #[test]
    fn bad_values_are_named_with_their_line_or_set() {
        let set = |name: &str, more: &str| format!("[[sets]]\nname = \"{name}\"\ntrain = [\"a.jsonl\"]\n{more}\n");
        for (text, parts) in [
            (set("a", "weight = 0"), &["weight above 0", "line 4"][..]),
            (set("a", "weight = nan"), &["weight above 0", "line 4"]),
            (set("a", "negatives = { count = 0 }"), &["at least 1", "line 4"]),
            (set("a", "negatives = { column = \"x\" }"), &["`count`", "line 4"]),
            (set("a", "prompts = 3"), &["table of columns and prompts", "line 4"]),
            (set("a", "prompts = { anchor = 3 }"), &["string", "line 4"]),
            (set("a", "limit = 0"), &["`a`: limit is 0"]),
            (set("a", "wieght = 2"), &["`wieght`", "line 4"]),
            (set(" ", ""), &["empty name"]),
            (format!("{}{}", set("a", ""), set("a", "")), &["two sets are called `a`"]),
            (format!("train = [\"b.jsonl\"]\n{}", set("a", "")), &["train has no effect next to [[data.sets]]"]),
            ("[[sets]]\nname = \"a\"\ntrain = []".into(), &["`a`: train is empty"]),
            ("[[sets]]\nname = \"a\"".into(), &["`train`"]),
            ("sampler = \"random\"\ntrain = [\"a\"]".into(), &["`round_robin`", "line 1"]),
            (String::new(), &["train is empty"]),
        ] {
            let fault = read(&text).unwrap_err();
            assert!(parts.iter().all(|part| fault.contains(part)), "{text}\n{fault}");
        }
    }
}

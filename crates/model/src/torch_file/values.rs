//! The values of a pickle. Objects lie in one list and refer to each other by number, so that a
//! pickle that nests or repeats them deeply is neither copied nor followed.

use super::globals::Global;
use super::messages::shown;

/// A value; texts are those of the pickle.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Integer(i64),
    Text(&'a str),
    Global(Global),
    /// The number of an object.
    Object(usize),
}

/// A value that holds others.
#[derive(Debug)]
pub(super) enum Object<'a> {
    Tuple(Vec<Value<'a>>),
    List(Vec<Value<'a>>),
    Dict(Vec<(Value<'a>, Value<'a>)>),
    /// A tuple that is the persistent id of a storage.
    Storage(Value<'a>),
    /// A tensor, described by a function and its arguments.
    Tensor(Global, Vec<Value<'a>>),
}

/// The result of a pickle, and the objects that it refers to.
pub(super) struct Values<'a> {
    pub(super) result: Value<'a>,
    pub(super) objects: Vec<Object<'a>>,
}

impl<'a> Values<'a> {
    /// Returns the object of a value, if it has one.
    pub(super) fn object(&self, value: Value<'a>) -> Option<&Object<'a>> {
        match value {
            Value::Object(number) => self.objects.get(number),
            _ => None,
        }
    }

    /// Returns the items of a tuple.
    pub(super) fn tuple(&self, value: Value<'a>) -> Option<&[Value<'a>]> {
        match self.object(value) {
            Some(Object::Tuple(items)) => Some(items),
            _ => None,
        }
    }
}

impl Value<'_> {
    /// Returns a word for its kind, as errors show it.
    pub(super) fn kind(&self) -> String {
        match self {
            Self::None => "None".into(),
            Self::Bool(_) => "a truth value".into(),
            Self::Integer(number) => format!("the number {number}"),
            Self::Text(text) => format!("the text `{}`", shown(text)),
            Self::Global(global) => format!("{global:?}"),
            Self::Object(_) => "an object".into(),
        }
    }
}

//! Top-level fields of a Parquet schema: the type of their values, and the levels that say where a
//! value is null or a list ends.
//!
//! Parquet stores nested values as leaves with two numbers each. The definition level counts the
//! optional and repeated ancestors that are present; the repetition level names the list that the
//! leaf continues, 0 for a new row.

use parquet::basic::{ConvertedType, LogicalType, Repetition, TimeUnit, Type as Physical};
use parquet::schema::types::Type;

use super::super::value::Kind;

/// Lists within lists that are looked into; deeper ones have no value that can be written out.
const MAX_DEPTH: usize = 32;

/// The most digits behind the point of a decimal in 32 bytes.
const MAX_SCALE: usize = 76;

/// A field or the item of a list.
pub(super) struct Field {
    /// The definition level from which on the value is not null.
    pub(super) defined: i16,
    pub(super) shape: Shape,
}

pub(super) enum Shape {
    Scalar(Scalar),
    List {
        /// The repetition level of a further item; an item of a list that is not empty has a
        /// definition level above the list's.
        repeated: i16,
        item: Box<Field>,
    },
    /// Records, maps and the like, by the name that messages give them. Only their nulls are read.
    Opaque {
        /// The repetition level of the innermost list around it: leaves above it belong to the same
        /// value.
        repeated: i16,
        kind: &'static str,
    },
}

/// The type of a value that is not nested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scalar {
    Null,
    Text,
    Truth,
    Signed,
    Unsigned,
    Float16,
    Float32,
    Float64,
    /// A whole number of units of ten to the power of minus this.
    Decimal(usize),
    Date,
    Timestamp {
        per_second: i64,
        utc: bool,
    },
    Opaque(&'static str),
}

impl Field {
    /// The top-level field of this type.
    pub(super) fn of(of: &Type) -> Self {
        Self::nested(of, 0, 0, 0)
    }

    /// The kind of its values; lists have the length 0.
    pub(super) fn kind(&self) -> Kind {
        match &self.shape {
            Shape::Scalar(Scalar::Null) => Kind::Nothing,
            Shape::Scalar(Scalar::Text) => Kind::Text,
            Shape::Scalar(Scalar::Truth) => Kind::Truth,
            Shape::Scalar(Scalar::Date | Scalar::Timestamp { .. }) => Kind::Other("dates".into()),
            Shape::Scalar(Scalar::Opaque(kind)) | Shape::Opaque { kind, .. } => Kind::Other((*kind).into()),
            Shape::Scalar(_) => Kind::Number,
            Shape::List { item, .. } if item.kind() == Kind::Text => Kind::List(0),
            Shape::List { .. } => Kind::Other("lists that are not of texts".into()),
        }
    }

    /// The type of the leaves, where they are values of their own and not parts of records.
    pub(super) fn scalar(&self) -> Option<Scalar> {
        match &self.shape {
            Shape::Scalar(scalar) => Some(*scalar),
            Shape::List { item, .. } => item.scalar(),
            Shape::Opaque { .. } => None,
        }
    }

    /// The type below a parent that is present from the definition level `defined` on.
    fn nested(of: &Type, defined: i16, repeated: i16, depth: usize) -> Self {
        let info = of.get_basic_info();
        match info.has_repetition().then(|| info.repetition()) {
            Some(Repetition::REPEATED) => Self::list(defined, repeated, depth, |defined, repeated| {
                Self::present(of, defined, repeated, depth + 1)
            }),
            Some(Repetition::OPTIONAL) => Self::present(of, defined.saturating_add(1), repeated, depth),
            Some(Repetition::REQUIRED) | None => Self::present(of, defined, repeated, depth),
        }
    }

    /// The type itself; its own repetition is part of the levels.
    fn present(of: &Type, defined: i16, repeated: i16, depth: usize) -> Self {
        if of.is_primitive() {
            return Self { defined, shape: Shape::Scalar(scalar(of)) };
        }
        let kind = match of.get_fields() {
            [middle] if is_annotated(of, ConvertedType::LIST) && is_repeated(middle) => {
                return Self::list(defined, repeated, depth, |defined, repeated| match item_of(of, middle) {
                    Some(item) => Self::nested(item, defined, repeated, depth + 1),
                    None => Self::present(middle, defined, repeated, depth + 1),
                });
            }
            _ if is_annotated(of, ConvertedType::MAP) || is_annotated(of, ConvertedType::MAP_KEY_VALUE) => "maps",
            _ => "records of several fields",
        };
        Self { defined, shape: Shape::Opaque { repeated, kind } }
    }

    /// A list whose items have the levels that `item` is called with.
    fn list(defined: i16, repeated: i16, depth: usize, item: impl FnOnce(i16, i16) -> Self) -> Self {
        if depth == MAX_DEPTH {
            return Self { defined, shape: Shape::Opaque { repeated, kind: "deeply nested lists" } };
        }
        let repeated = repeated.saturating_add(1);
        let item = Box::new(item(defined.saturating_add(1), repeated));
        Self { defined, shape: Shape::List { repeated, item } }
    }
}

/// Returns the type of a list's items, or `None` where the repeated type in the middle is the item
/// itself, as the format's rules for older writers have it.
fn item_of<'a>(list: &Type, middle: &'a Type) -> Option<&'a Type> {
    let [item] = (if middle.is_primitive() { &[] } else { middle.get_fields() }) else { return None };
    let is_nested = is_annotated(middle, ConvertedType::LIST) || is_repeated(item);
    let is_record = middle.name() == "array" || middle.name() == format!("{}_tuple", list.name());
    (is_nested || !is_record).then_some(item)
}

fn is_repeated(of: &Type) -> bool {
    let info = of.get_basic_info();
    info.has_repetition() && info.repetition() == Repetition::REPEATED
}

/// Returns whether a group has an annotation, in its present or its former form.
fn is_annotated(of: &Type, annotation: ConvertedType) -> bool {
    let info = of.get_basic_info();
    match info.logical_type_ref() {
        Some(LogicalType::List) => annotation == ConvertedType::LIST,
        Some(LogicalType::Map) => annotation == ConvertedType::MAP,
        Some(_) => false,
        None => info.converted_type() == annotation,
    }
}

fn scalar(of: &Type) -> Scalar {
    let info = of.get_basic_info();
    let Type::PrimitiveType { physical_type, type_length, scale, .. } = of else {
        unreachable!("groups have no scalars")
    };
    let timestamp = |unit, utc| Scalar::Timestamp { per_second: per_second(unit), utc };
    let decimal = |scale: i32| match usize::try_from(scale) {
        Ok(scale) if scale <= MAX_SCALE => Scalar::Decimal(scale),
        _ => Scalar::Opaque("decimals of an unknown scale"),
    };
    match (physical_type, info.logical_type_ref(), info.converted_type()) {
        (_, Some(LogicalType::Unknown), _) => Scalar::Null,
        (Physical::BOOLEAN, ..) => Scalar::Truth,
        (Physical::FLOAT, ..) => Scalar::Float32,
        (Physical::DOUBLE, ..) => Scalar::Float64,
        (Physical::INT96, ..) => timestamp(&TimeUnit::NANOS, false),
        (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Float16), _) if *type_length == 2 => Scalar::Float16,
        (_, Some(LogicalType::Decimal(of)), _) => decimal(of.scale),
        (_, None, ConvertedType::DECIMAL) => decimal(*scale),
        (Physical::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Json), _)
        | (Physical::BYTE_ARRAY, None, ConvertedType::UTF8 | ConvertedType::JSON) => Scalar::Text,
        (Physical::BYTE_ARRAY, ..) => Scalar::Opaque("bytes that are not marked as texts"),
        (Physical::FIXED_LEN_BYTE_ARRAY, None, ConvertedType::INTERVAL) => Scalar::Opaque("intervals"),
        (Physical::FIXED_LEN_BYTE_ARRAY, ..) => Scalar::Opaque("bytes that are not marked as texts"),
        (Physical::INT32, Some(LogicalType::Date), _) | (Physical::INT32, None, ConvertedType::DATE) => Scalar::Date,
        (Physical::INT64, Some(LogicalType::Timestamp(of)), _) => timestamp(&of.unit, of.is_adjusted_to_u_t_c),
        (Physical::INT64, None, ConvertedType::TIMESTAMP_MILLIS) => timestamp(&TimeUnit::MILLIS, true),
        (Physical::INT64, None, ConvertedType::TIMESTAMP_MICROS) => timestamp(&TimeUnit::MICROS, true),
        (_, Some(LogicalType::Time(_)), _) | (_, None, ConvertedType::TIME_MILLIS | ConvertedType::TIME_MICROS) => {
            Scalar::Opaque("times of day")
        }
        (_, Some(LogicalType::Integer(of)), _) => {
            if of.is_signed {
                Scalar::Signed
            } else {
                Scalar::Unsigned
            }
        }
        (_, None, ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64) => {
            Scalar::Unsigned
        }
        (
            _,
            None,
            ConvertedType::NONE
            | ConvertedType::INT_8
            | ConvertedType::INT_16
            | ConvertedType::INT_32
            | ConvertedType::INT_64,
        ) => Scalar::Signed,
        (Physical::INT32 | Physical::INT64, ..) => Scalar::Opaque("values of an unknown type"),
    }
}

fn per_second(unit: &TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    }
}

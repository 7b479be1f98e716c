//! Precisions of matrix products.

/// Precision of the operands of a matrix product. Sums are f32, those of int8 products i32; results
/// are f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Operands as they are.
    #[default]
    F32,
    /// Operands rounded to the nearest bf16.
    Bf16,
    /// Operands quantized to bytes: the left one to 8 bits with a scale and a zero point for each
    /// row, the right one to 7 bits with a scale for each column.
    Int8,
}

impl Precision {
    /// All precisions, the most accurate first.
    pub const ALL: [Precision; 3] = [Precision::F32, Precision::Bf16, Precision::Int8];

    /// Name in settings and reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Int8 => "int8",
        }
    }
}

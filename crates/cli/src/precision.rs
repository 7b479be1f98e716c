//! `--precision`: what matrix products round their operands to.

use maana::kernels::{Precision, isa};

/// What a person may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    Auto,
    F32,
    Bf16,
    Int8,
}

impl Choice {
    /// What is computed in on this machine.
    pub(crate) fn precision(self) -> Precision {
        match self {
            Self::Auto if isa().has_bf16() => Precision::Bf16,
            Self::Auto | Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Int8 => Precision::Int8,
        }
    }
}

/// The argument, for every command that computes embeddings.
#[derive(clap::Args)]
pub(crate) struct PrecisionArgument {
    /// What matrix products are computed in: f32, bf16 (half the memory), int8 (a quarter, and faster), or auto: bf16 where
    /// the processor is faster at it, else f32
    #[arg(long, value_enum, default_value_t = Choice::Auto, value_name = "NAME", hide_possible_values = true)]
    pub(crate) precision: Choice,
}

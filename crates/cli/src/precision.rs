//! `--precision`: precision of the matrix-product operands. The default is f32, so that the same
//! command gives the same embeddings on every machine; during long work a note names the precisions
//! that are considerably faster.

use maana::kernels::{InstructionSet, Precision};
use std::sync::Once;
use std::time::Duration;

/// Value of `--precision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Choice {
    Auto,
    F32,
    Bf16,
    Int8,
}

impl Choice {
    /// Returns the precision on this machine.
    pub(crate) fn precision(self) -> Precision {
        self.on(InstructionSet::active())
    }

    /// Parses a name as recorded in stores.
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        <Self as clap::ValueEnum>::from_str(name, false).ok()
    }

    /// Returns the precision on an instruction set. `auto` never chooses int8, which costs more
    /// accuracy than users expect of a default.
    fn on(self, isa: InstructionSet) -> Precision {
        match self {
            Self::Auto if isa.has_bf16() => Precision::Bf16,
            Self::Auto | Self::F32 => Precision::F32,
            Self::Bf16 => Precision::Bf16,
            Self::Int8 => Precision::Int8,
        }
    }
}

/// The argument, for every command that computes embeddings.
#[derive(clap::Args)]
pub(crate) struct PrecisionArgument {
    /// Precision of matrix products: f32, bf16 (half the memory), int8 (a quarter of the memory,
    /// and faster), or auto: bf16 if the processor is faster with it, else f32 [default: f32]
    #[arg(long, value_enum, value_name = "NAME", hide_possible_values = true)]
    pub(crate) precision: Option<Choice>,
}

/// Returns the requested precision, else the default.
pub(crate) fn of(choice: Option<Choice>) -> Precision {
    choice.unwrap_or(Choice::F32).precision()
}

/// Time after which the note about faster precisions is printed.
const LONG: Duration = Duration::from_secs(20);

/// Prints the note about faster precisions once the process has run for [`LONG`].
pub(crate) fn suggest_faster_when_long() {
    static STARTED: Once = Once::new();
    let Some(note) = faster(InstructionSet::active()) else { return };
    STARTED.call_once(|| {
        // Without the thread there is no note; nothing else depends on it.
        let _ = std::thread::Builder::new().name("maana-note".into()).spawn(move || {
            std::thread::sleep(LONG);
            errln!("note: {note}");
        });
    });
}

/// Returns a note if other precisions are considerably faster than f32 on this instruction set.
pub(crate) fn faster(isa: InstructionSet) -> Option<String> {
    let flags = isa.faster_than_f32().iter().map(|precision| {
        let distance = match precision {
            Precision::Int8 => "1e-2",
            Precision::F32 | Precision::Bf16 => "1e-4",
        };
        format!("--precision {} (cosine distance to f32 at most {distance})", precision.name())
    });
    let flags: Vec<String> = flags.collect();
    (!flags.is_empty()).then(|| format!("this processor is considerably faster with {}", flags.join(" or ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_f32_and_auto_is_bf16_only_with_its_instructions() {
        assert_eq!(of(None), Precision::F32);
        for isa in InstructionSet::available() {
            let auto = if isa.name() == "avx512bf16" { Precision::Bf16 } else { Precision::F32 };
            assert_eq!(Choice::Auto.on(isa), auto, "{}", isa.name());
        }
    }

    #[test]
    fn the_note_names_the_faster_precisions_of_the_instruction_set() {
        for isa in InstructionSet::available() {
            let note = faster(isa).unwrap_or_default();
            assert_eq!(note.contains("--precision bf16"), isa.has_bf16(), "{}: {note}", isa.name());
            let int8 = ["avx2", "avx512vnni", "avx512bf16"].contains(&isa.name());
            assert_eq!(note.contains("--precision int8"), int8, "{}: {note}", isa.name());
        }
    }
}

//! Instruction sets: detection, and compilation of a kernel for each of them.

use crate::precision::Precision;
use std::sync::OnceLock;

/// An instruction set that this machine has. Only detection creates a value, so that holding one is
/// the permission to execute the instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstructionSet(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// With products of bytes.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// With products of bytes and of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

/// Calls a macro with the features of an instruction set in parentheses, followed by what is given.
/// The only list of features: detection and `#[target_feature]` both expand it.
macro_rules! features {
    (portable, $then:ident! { $($rest:tt)* }) => { $then! { () $($rest)* } };
    (neon, $then:ident! { $($rest:tt)* }) => { $then! { ("neon") $($rest)* } };
    // Every processor with AVX2 has POPCNT; a virtual one may not.
    (avx2, $then:ident! { $($rest:tt)* }) => { $then! { ("avx2" "fma" "popcnt") $($rest)* } };
    (avx512, $then:ident! { $($rest:tt)* }) => {
        $then! { ("avx2" "fma" "popcnt" "avx512f" "avx512bw" "avx512dq" "avx512vl") $($rest)* }
    };
    (avx512vnni, $then:ident! { $($rest:tt)* }) => {
        $then! { ("avx2" "fma" "popcnt" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni") $($rest)* }
    };
    (avx512bf16, $then:ident! { $($rest:tt)* }) => {
        $then! {
            ("avx2" "fma" "popcnt" "avx512f" "avx512bw" "avx512dq" "avx512vl" "avx512vnni" "avx512bf16") $($rest)*
        }
    };
}

/// Adds the `#[target_feature]` attributes to a function.
macro_rules! with_target_features {
    (($($feature:tt)*) $($function:tt)*) => { $(#[target_feature(enable = $feature)])* $($function)* };
}

/// True if the machine has all of the features.
#[cfg(target_arch = "x86_64")]
macro_rules! detected {
    (($($feature:tt)*)) => { $(is_x86_feature_detected!($feature))&&* };
}

impl InstructionSet {
    /// Name, as `MAANA_ISA` takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Level::Portable => "portable",
            #[cfg(target_arch = "aarch64")]
            Level::Neon => "neon",
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => "avx512bf16",
        }
    }

    /// Returns true if bf16 products have instructions of their own, which round differently from
    /// those of all other instruction sets.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Level::Avx512Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Precisions whose products are at least 1.5 times as fast as in f32, the most accurate first.
    pub fn faster_than_f32(self) -> &'static [Precision] {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => &[Precision::Bf16, Precision::Int8],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512Vnni => &[Precision::Int8],
            _ => &[],
        }
    }

    /// All instruction sets that the machine has; the first is the portable one, the last the best.
    pub fn available() -> Vec<InstructionSet> {
        #[allow(unused_mut, reason = "architectures without kernels of their own have one")]
        let mut levels = vec![Level::Portable];
        #[cfg(target_arch = "x86_64")]
        {
            let detected = [
                (Level::Avx2, features!(avx2, detected! {})),
                (Level::Avx512, features!(avx512, detected! {})),
                (Level::Avx512Vnni, features!(avx512vnni, detected! {})),
                (Level::Avx512Bf16, features!(avx512bf16, detected! {})),
            ];
            levels.extend(detected.into_iter().filter_map(|(level, detected)| detected.then_some(level)));
        }
        // Every 64-bit Arm processor has NEON; the compiler relies on it as well.
        #[cfg(target_arch = "aarch64")]
        levels.push(Level::Neon);
        levels.into_iter().map(Self).collect()
    }

    /// The instruction set that this process uses by default: the best of the machine, or the one
    /// that the environment variable `MAANA_ISA` names. A name that the machine does not have is
    /// ignored.
    pub fn active() -> InstructionSet {
        static ACTIVE: OnceLock<InstructionSet> = OnceLock::new();
        *ACTIVE.get_or_init(|| choose(&Self::available(), std::env::var("MAANA_ISA").ok().as_deref()))
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

fn choose(available: &[InstructionSet], name: Option<&str>) -> InstructionSet {
    let named = name.and_then(|name| available.iter().find(|isa| isa.name() == name));
    *named.unwrap_or(available.last().expect("every machine has the portable instruction set"))
}

/// Compiles a function once for each instruction set; the first argument of the result chooses one.
/// The body is plain Rust, which the compiler vectorises as wide as the instructions allow. It
/// computes the same bits on every instruction set, because the compiler neither contracts nor
/// reorders arithmetic.
macro_rules! multiversion {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
        $visibility fn $name(isa: $crate::instruction_set::InstructionSet, $($argument: $type),*) $(-> $result)? {
            use $crate::instruction_set::Level;
            #[cfg(target_arch = "x86_64")]
            use $crate::instruction_set::{features, with_target_features};
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
            fn plain($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            features!(avx2, with_target_features! {
                #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
                fn avx2($($argument: $type),*) $(-> $result)? { plain($($argument),*) }
            });
            #[cfg(target_arch = "x86_64")]
            features!(avx512, with_target_features! {
                #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
                fn avx512($($argument: $type),*) $(-> $result)? { plain($($argument),*) }
            });
            match isa.level() {
                Level::Portable => plain($($argument),*),
                #[cfg(target_arch = "aarch64")]
                Level::Neon => plain($($argument),*),
                // SAFETY: an `InstructionSet` of this level exists only where detection has seen
                // the features.
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: an `InstructionSet` of these levels exists only where detection has seen
                // the features.
                #[cfg(target_arch = "x86_64")]
                _ => unsafe { avx512($($argument),*) },
            }
        }
    };
}

pub(crate) use {features, multiversion, with_target_features};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_chooses_among_available_instruction_sets() {
        let available = InstructionSet::available();
        println!("instruction sets of this machine: {:?}", available.iter().map(|isa| isa.name()).collect::<Vec<_>>());
        assert_eq!(choose(&available, Some("portable")).name(), "portable");
        assert_eq!(choose(&available, None), *available.last().unwrap());
        assert_eq!(choose(&available, Some("avx9000")), *available.last().unwrap());
        assert_eq!(choose(&available[..1], Some("avx512")).name(), "portable");
    }
}

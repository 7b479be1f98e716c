//! Which instructions the machine has, found once. `MAANA_ISA=portable|avx2|avx512|avx512vnni|avx512bf16` lowers the choice,
//! never raises it, so that every rung can be tested on one machine; another value is as if it were not set.

use crate::matmul::Precision;
use std::sync::OnceLock;

/// A set of instructions that this machine has: a value that only detection gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Isa(Level);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Portable,
    #[cfg(target_arch = "aarch64")]
    Neon,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// F, BW, DQ and VL.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Products of bytes as well.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// Products of bf16 as well.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
}

impl Isa {
    /// The name that `MAANA_ISA` knows.
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

    /// Whether this rung multiplies bf16 faster than f32.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Level::Avx512Bf16;
        #[cfg(not(target_arch = "x86_64"))]
        false
    }

    /// Precisions that this rung multiplies at least half as fast again as f32, the most accurate first.
    pub fn faster_than_f32(self) -> &'static [Precision] {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512Bf16 => &[Precision::Bf16, Precision::Int8],
            #[cfg(target_arch = "x86_64")]
            Level::Avx2 | Level::Avx512Vnni => &[Precision::Int8],
            _ => &[],
        }
    }

    /// Every rung that the machine has, from the plainest.
    pub fn ladder() -> Vec<Isa> {
        #[allow(unused_mut, reason = "other architectures have one rung")]
        let mut rungs = vec![Isa(Level::Portable)];
        #[cfg(target_arch = "x86_64")]
        {
            // Each processor with AVX2 counts bits, too; a virtual one may say otherwise.
            let has = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("popcnt");
            if has {
                rungs.push(Isa(Level::Avx2));
                let has = is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl");
                if has {
                    rungs.push(Isa(Level::Avx512));
                }
                if has && is_x86_feature_detected!("avx512vnni") {
                    rungs.push(Isa(Level::Avx512Vnni));
                    if is_x86_feature_detected!("avx512bf16") {
                        rungs.push(Isa(Level::Avx512Bf16));
                    }
                }
            }
        }
        // Every 64-bit Arm has it: the compiler counts on it as well.
        #[cfg(target_arch = "aarch64")]
        rungs.push(Isa(Level::Neon));
        rungs
    }

    pub(crate) fn level(self) -> Level {
        self.0
    }
}

/// The instructions that kernels use in this process.
pub fn isa() -> Isa {
    static CHOSEN: OnceLock<Isa> = OnceLock::new();
    *CHOSEN.get_or_init(|| choose(&Isa::ladder(), std::env::var("MAANA_ISA").ok().as_deref()))
}

fn choose(ladder: &[Isa], asked: Option<&str>) -> Isa {
    let known = asked.and_then(|name| ladder.iter().find(|isa| isa.name() == name));
    *known.unwrap_or(ladder.last().expect("every machine has the portable rung"))
}

/// Compiles a function once for each rung and calls the one that `isa` says. The body is plain Rust, which the compiler
/// vectorises as wide as the rung allows; it computes the same bits on every rung, as nothing is contracted or reordered.
macro_rules! on_every_rung {
    ($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$attribute])*
        #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
        $visibility fn $name(isa: $crate::dispatch::Isa, $($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
            fn plain($($argument: $type),*) $(-> $result)? $body
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt")]
            #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
            fn avx2($($argument: $type),*) $(-> $result)? { plain($($argument),*) }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
            #[allow(clippy::too_many_arguments, reason = "kernels name every slice")]
            fn avx512($($argument: $type),*) $(-> $result)? { plain($($argument),*) }
            match isa.level() {
                $crate::dispatch::Level::Portable => plain($($argument),*),
                #[cfg(target_arch = "aarch64")]
                $crate::dispatch::Level::Neon => plain($($argument),*),
                // SAFETY: an `Isa` of this level exists only where detection has seen these features.
                #[cfg(target_arch = "x86_64")]
                $crate::dispatch::Level::Avx2 => unsafe { avx2($($argument),*) },
                // SAFETY: an `Isa` of this level exists only where detection has seen these features.
                #[cfg(target_arch = "x86_64")]
                _ => unsafe { avx512($($argument),*) },
            }
        }
    };
}
pub(crate) use on_every_rung;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_lowers_and_never_raises() {
        let ladder = Isa::ladder();
        println!("rungs of this machine: {:?}", ladder.iter().map(|isa| isa.name()).collect::<Vec<_>>());
        assert_eq!(choose(&ladder, Some("portable")).name(), "portable");
        assert_eq!(choose(&ladder, None), *ladder.last().unwrap());
        assert_eq!(choose(&ladder, Some("avx9000")), *ladder.last().unwrap());
        assert_eq!(choose(&ladder[..1], Some("avx512")).name(), "portable");
    }
}

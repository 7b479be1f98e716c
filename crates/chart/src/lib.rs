//! Charts as SVG: lines over numbers or names, bars, and groups of horizontal bars. Independent of
//! models and training. Every chart has a title and a description for screen readers; points and
//! bars of a report have tooltips.
#![forbid(unsafe_code)]

mod grouped_bars;
mod lines;
mod number;
mod scale;
mod svg;

pub use grouped_bars::{Group, Labels, grouped_bars};
pub use lines::{Bar, COLOURS_ON_DARK, COLOURS_ON_WHITE, Chart, Paint, STYLE, Series};
pub use number::grouped;
pub use scale::{Scale, tick_label, ticks};
pub use svg::escape;

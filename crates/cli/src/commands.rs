//! One command a file.

pub(crate) mod bench;
pub(crate) mod completions;
pub(crate) mod demo;
pub(crate) mod encode;
pub(crate) mod evaluate;
pub(crate) mod info;
pub(crate) mod similarity;
pub(crate) mod synthesize;
pub(crate) mod train;

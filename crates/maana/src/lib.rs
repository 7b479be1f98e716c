pub mod card;
pub mod report;

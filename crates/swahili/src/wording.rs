//! Wording of scenes: for each genre a long description and a short conclusion. `phrase` contains
//! the shared parts: noun phrases, verbs of more than one word, sentences.

mod care;
mod deed_conclusion;
mod deed_description;
mod harvest;
mod phrase;
mod report;
mod study;
mod talk;
mod trip;
mod weather;

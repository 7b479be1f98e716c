//! The program as its users meet it: every test starts the binary, and reads what it prints and
//! writes.

mod bad_input;
mod blend;
mod cross_encoder;
mod database;
mod golden;
mod help;
mod interrupted;
#[cfg(unix)]
mod irregular;
mod losses;
mod precision;
mod prompts;
mod router;
mod serve;
mod sets;
mod sharing;
mod simcse;
mod static_models;
mod support;
mod tasks;
mod torch_bases;
mod train_cross_encoder;
mod training;
mod using;

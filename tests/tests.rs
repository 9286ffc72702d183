//! The integration tests, one binary: each module is a suite.

mod cli;
mod input;
mod lateral_commands;
mod modules;
mod rules;
mod sigma;
mod sigma_corpus;
mod store_contract;
mod store_crash;
mod store_laws;
mod support;
mod sweep;
mod taxonomy;
mod tidy;

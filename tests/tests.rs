//! The integration tests, one binary: each module is a suite.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail and speak as tests do"
)]

mod anomalies;
mod cli;
mod correlations;
mod elastic_faults;
mod explain;
mod input;
mod lateral_commands;
mod modules;
mod provision_dashboards;
mod provision_jobs;
mod provision_kibana;
mod provision_parsers;
mod reload;
mod rule_commands;
mod rule_writers;
mod rules;
mod sigma;
mod sigma_corpus;
mod sigma_filters;
mod sigma_mutants;
mod store_contract;
mod store_crash;
mod store_elastic;
mod store_laws;
mod support;
mod sweep;
mod taxonomy;
mod tidy;

//! Sigma rules.

pub mod yaml;

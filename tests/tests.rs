//! The integration tests, one binary: each module is a suite.

mod support;
mod tidy;

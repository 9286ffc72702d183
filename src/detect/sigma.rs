//! The detector that runs Sigma rules.

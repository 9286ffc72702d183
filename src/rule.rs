//! Sigma rules: a folder tree of YAML to a RuleSet with a digest.

//! Reads documents from files.

//! The regex blacklist.

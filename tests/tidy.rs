//! Laws of the source tree.

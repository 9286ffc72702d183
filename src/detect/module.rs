//! The detector that runs modules.

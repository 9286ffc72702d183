//! The embedded store on tantivy.

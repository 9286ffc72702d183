//! Where in a document each Sigma field stands, for every shape that is recognised, as one trie
//! over object keys. Facts about shippers only: no code here looks at a document.

use super::Fields;

/// A place in the trie.
#[derive(Debug, Default)]
pub struct Node;

/// The trie of all shapes.
#[derive(Debug, Default)]
pub struct Shapes {
    root: Node,
}

impl Shapes {
    /// The trie for those fields.
    pub fn new(_fields: &Fields) -> Self {
        Self::default()
    }

    /// Where every document begins.
    pub fn root(&self) -> &Node {
        &self.root
    }
}

//! Where the references in an object are.

/// Offsets of references. A method table points to one; it lives as long as the process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReferenceMap {
    /// Instances and boxed values: byte offsets from the object's start.
    pub instance: Box<[u32]>,
    /// Likewise, references that do not keep their objects.
    pub weak: Box<[u32]>,
    /// Arrays: byte offsets within an element (`[0]` for arrays of references).
    pub element: Box<[u32]>,
}

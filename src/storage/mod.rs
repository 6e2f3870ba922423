//! Object storage and local files behind one interface.

#[derive(Clone)]
pub struct Storage;

//! What a finished job leaves for its reader.

pub mod quantity;

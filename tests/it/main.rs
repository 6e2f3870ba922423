//! One integration binary: a file for each surface.

mod reference;
mod invariance;

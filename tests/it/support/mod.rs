//! What several integration tests need.

pub mod s3;

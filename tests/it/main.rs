//! The integration tests: one binary, a file for each surface.

mod storage;
mod storage_s3;
mod support;

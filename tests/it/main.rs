//! The integration tests: one binary, a file for each surface.

mod architecture;
mod cli;
mod example;
mod invariance;
mod pipeline;
mod reference;
mod service;
mod storage;
mod storage_s3;
mod support;

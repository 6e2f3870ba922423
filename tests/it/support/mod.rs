//! What several integration tests need.

pub mod measured;
pub mod moments;
pub mod s3;
pub mod service;
pub mod told;
pub mod web;

//! The integration tests: one binary, a file for each surface.

mod architecture;
mod cli;
mod drill;
mod example;
mod hub;
mod invariance;
mod limits;
mod pipeline;
mod real_models;
mod reference;
mod service;
mod service_fixture;
mod service_jobs;
mod service_life;
mod storage;
mod storage_s3;
mod support;

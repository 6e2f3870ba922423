//! The integration tests: one binary, a file for each surface.

mod architecture;
mod cli;
mod drill;
mod embed;
mod example;
#[cfg(feature = "cuda")]
mod gpu;
mod groups;
mod hub;
mod invariance;
mod limits;
mod memory;
mod pages;
mod pipeline;
mod probe;
mod real_models;
mod reference;
mod resumed;
mod second_opinion;
mod service;
mod service_fixture;
mod service_jobs;
mod service_life;
mod storage;
mod storage_s3;
mod support;
mod tls;

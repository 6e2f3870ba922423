//! The integration tests: one binary, a file for each surface.

mod architecture;
mod cli;
mod example;
mod groups;
mod hub;
mod invariance;
mod pages;
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

//! The integration tests: one binary, a file for each surface.

mod architecture;
mod cli;
mod invariance;
mod reference;
mod service;
mod service_fixture;
mod service_life;

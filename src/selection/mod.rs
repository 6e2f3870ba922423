//! Selection: budgets and strategies over scores.

mod options;
pub use options::{Budget, Strategy};

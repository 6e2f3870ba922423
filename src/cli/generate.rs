//! Completion scripts and manual pages, made from the definition of the command line itself.

use super::console::Console;
use crate::error::{Code, Error, Result};
use std::path::Path;

pub(super) fn completions(shell: clap_complete::Shell, console: &Console) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut super::definition(), "bioprune", &mut script);
    console.print(&script)
}

/// `bioprune.1` to stdout, or the pages of all commands into a directory, which is made where it is missing.
pub(super) fn manual(directory: Option<&Path>, console: &Console) -> Result<()> {
    let Some(directory) = directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(super::definition())
            .render(&mut page)
            .map_err(|error| Error::internal("cannot render the manual page").caused_by(error))?;
        return console.print(&page);
    };
    std::fs::create_dir_all(directory)
        .and_then(|()| clap_mangen::generate_to(super::definition(), directory))
        .map_err(|error| {
            let message = format!("cannot write the manual pages into {}", directory.display());
            Error::new(Code::StorageFailed, message).caused_by(error)
        })
}

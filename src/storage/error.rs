//! From the errors of stores and files to the one error type, and through `std::io` and back.

use super::Location;
use crate::error::{Code, Error};
use std::io;

/// What was being done with a location when an error came.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Read,
    List,
    Write,
    Delete,
}

impl Action {
    fn verb(self) -> &'static str {
        match self {
            Action::Read => "read",
            Action::List => "list",
            Action::Write => "write",
            Action::Delete => "delete",
        }
    }

    /// What is missing when it is not found: the object, or for a write the bucket or directory.
    fn not_found(self, location: &Location) -> Error {
        match self {
            Action::Read | Action::List => {
                Error::new(Code::InputNotFound, format!("{location}: there is no such file or object"))
            }
            Action::Write | Action::Delete => Error::storage(format!(
                "cannot {} {location}: the bucket or directory does not exist",
                self.verb()
            )),
        }
    }

    fn denied(self, location: &Location) -> Error {
        Error::storage(format!("no permission to {} {location}", self.verb()))
    }

    fn failed(self, location: &Location) -> Error {
        Error::storage(format!("cannot {} {location}", self.verb()))
    }
}

pub(super) fn changed(location: &Location) -> Error {
    Error::new(Code::SourceChanged, format!("{location} changed while it was in use; run the job again"))
}

pub(super) fn from_store(action: Action, location: &Location, error: object_store::Error) -> Error {
    use object_store::Error as Store;
    let named = match &error {
        Store::NotFound { .. } => action.not_found(location),
        Store::PermissionDenied { .. } => action.denied(location),
        Store::Unauthenticated { .. } => {
            Error::storage(format!("the store refused the credentials (or their absence) for {location}"))
        }
        Store::Precondition { .. } => changed(location),
        _ => action.failed(location),
    };
    named.caused_by(error)
}

pub(super) fn from_io(action: Action, location: &Location, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => action.not_found(location),
        io::ErrorKind::PermissionDenied => action.denied(location).caused_by(error),
        _ => unwrap_io(error).unwrap_or_else(|error| action.failed(location).caused_by(error)),
    }
}

/// The error behind an `io::Error` of writing to `location`: one of ours that came through a `Write`, or a failure of
/// the storage.
pub fn io_error(location: &Location, error: io::Error) -> Error {
    from_io(Action::Write, location, error)
}

/// Ours, if it is one of ours that came through a `Read` or `Write`.
pub fn unwrap_io(error: io::Error) -> Result<Error, io::Error> {
    error.downcast::<Error>()
}

pub(super) fn wrap_io(error: Error) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_way_through_std_io() {
        let location = Location::local("a.fa").unwrap();
        let through = io_error(&location, wrap_io(changed(&location)));
        assert_eq!(through.code, Code::SourceChanged);
        let full = io_error(&location, io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.code, Code::StorageFailed);
        assert!(full.to_string().contains("a.fa"), "{full}");
    }
}

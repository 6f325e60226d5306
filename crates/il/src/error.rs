//! The one error type of this crate: what is wrong, and where in which file.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use crate::tables::Token;

/// What sort of failure it is; each kind is one exception class for a managed program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The file is not a valid CLI image (`BadImageFormatException`).
    BadImage,
    /// A file or assembly was not found (`FileNotFoundException`).
    FileNotFound,
    /// An assembly that is only looked at needs another that is not loaded for that (`FileNotFoundException`).
    NotPreloaded,
    /// A file was found but could not be read or did not match (`FileLoadException`).
    FileLoad,
    /// A type is missing or cannot be laid out (`TypeLoadException`).
    TypeLoad,
    /// A member reference names no method (`MissingMethodException`).
    MissingMethod,
    /// A member reference names no field (`MissingFieldException`).
    MissingField,
    /// A method body is malformed (`InvalidProgramException`).
    InvalidProgram,
    /// Access rules forbid the method (`MethodAccessException`).
    MethodAccess,
    /// Access rules forbid the field (`FieldAccessException`).
    FieldAccess,
    /// The metadata is valid but asks for what is not offered (`NotSupportedException`).
    NotSupported,
    /// A value has no native form (`MarshalDirectiveException`).
    MarshalDirective,
    /// An instance of an abstract class is asked for (`MemberAccessException`).
    MemberAccess,
    /// Several default implementations of an interface method are equally good (`AmbiguousImplementationException`).
    AmbiguousImplementation,
    /// The method belongs to a type, or is one, whose type parameters have no arguments (`InvalidOperationException`).
    OpenGeneric,
}

/// A failure with its place: file, table row or byte offset, as far as they are known.
///
/// The contents are boxed so that a `Result` of a small value stays in registers.
#[derive(Clone)]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    name: Option<String>,
    file: Option<Arc<str>>,
    token: Option<Token>,
    offset: Option<u32>,
    is_unfinished: bool,
}

/// A result with this crate's error.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error without a place; the `with_` functions add what is known of it.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Error {
        let message = message.into();
        let inner = Inner { kind, message, name: None, file: None, token: None, offset: None, is_unfinished: false };
        Error { inner: Box::new(inner) }
    }

    /// A [`ErrorKind::BadImage`] error.
    pub fn bad_image(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::BadImage, message)
    }

    /// A [`ErrorKind::TypeLoad`] error.
    pub fn type_load(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::TypeLoad, message)
    }

    /// A [`ErrorKind::InvalidProgram`] error.
    pub fn invalid_program(message: impl Into<String>) -> Error {
        Error::new(ErrorKind::InvalidProgram, message)
    }

    /// The error for a type that the program has still to finish. It is no answer for good: nobody keeps it.
    pub fn unfinished_type() -> Error {
        let mut error = Error::type_load("The type is not finished.");
        error.inner.is_unfinished = true;
        error
    }

    /// Whether it may go away when the program finishes a type.
    pub fn is_unfinished(&self) -> bool {
        self.inner.is_unfinished
    }

    /// Adds the full name of the missing thing: a type, a member, or an assembly or file.
    pub fn with_name(mut self, name: impl Into<String>) -> Error {
        self.inner.name = Some(name.into());
        self
    }

    /// Adds the file, unless one is known already.
    pub fn with_file(mut self, file: &Arc<str>) -> Error {
        self.inner.file.get_or_insert_with(|| file.clone());
        self
    }

    /// Adds the table row, unless one is known already.
    pub fn with_token(mut self, token: Token) -> Error {
        self.inner.token.get_or_insert(token);
        self
    }

    /// Adds the byte offset (in the file, blob or method body the message speaks of), unless one is known already.
    pub fn with_offset(mut self, offset: usize) -> Error {
        self.inner.offset.get_or_insert(u32::try_from(offset).unwrap_or(u32::MAX));
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// What is wrong, without the place.
    pub fn message(&self) -> &str {
        &self.inner.message
    }

    /// What is wrong, in Mono's words where programs see them often.
    pub fn reason(&self) -> Cow<'_, str> {
        match (self.kind(), self.name()) {
            (ErrorKind::FileNotFound | ErrorKind::FileLoad, Some(name)) => {
                format!("Could not load file or assembly '{name}' or one of its dependencies.").into()
            }
            (ErrorKind::TypeLoad, Some(name)) if self.message().is_empty() => format!("Could not load type '{name}'").into(),
            _ => self.message().into(),
        }
    }

    /// The full name of the missing thing, where there is one.
    pub fn name(&self) -> Option<&str> {
        self.inner.name.as_deref()
    }

    /// The file.
    pub fn file(&self) -> Option<&Arc<str>> {
        self.inner.file.as_ref()
    }

    /// The table row.
    pub fn token(&self) -> Option<Token> {
        self.inner.token
    }

    /// The byte offset.
    pub fn offset(&self) -> Option<u32> {
        self.inner.offset
    }
}

impl fmt::Display for Error {
    /// One line: what, then where.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.inner.message)?;
        if let Some(name) = &self.inner.name {
            if !self.inner.message.contains(name.as_str()) {
                write!(formatter, ": {name}")?;
            }
        }
        if let Some(file) = &self.inner.file {
            write!(formatter, ", in {file}")?;
        }
        if let Some(token) = self.inner.token {
            match token.table() {
                Some(table) => write!(formatter, ", {table:?} row {} ({token})", token.row())?,
                None => write!(formatter, ", token {token}")?,
            }
        }
        if let Some(offset) = self.inner.offset {
            write!(formatter, ", at offset {offset:#x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}: {self}", self.inner.kind)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::TableId;

    #[test]
    fn display_says_what_and_where_in_one_line() {
        let error = Error::bad_image("row out of range")
            .with_file(&Arc::from("a.dll"))
            .with_token(Token::new(TableId::MethodDef, 0x12))
            .with_offset(16);
        assert_eq!(error.to_string(), "row out of range, in a.dll, MethodDef row 18 (0x06000012), at offset 0x10");
    }
}

//! Assembly names, in parts and as text (ECMA-335 II.6.2.1, and the display form of the class libraries).

use std::fmt;

use super::display_name::DisplayName;
use super::sha1::public_key_token;
use crate::error::Result;

/// An assembly's version.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub struct Version {
    pub major: u16,
    pub minor: u16,
    pub build: u16,
    pub revision: u16,
}

/// An assembly's name: of an assembly, or as a reference gives it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct AssemblyName {
    /// Simple name.
    pub name: Box<str>,
    /// Version; 0.0.0.0 when not given.
    pub version: Version,
    /// Culture, empty for neutral.
    pub culture: Box<str>,
    /// `AssemblyFlags` (II.23.1.2).
    pub flags: u32,
    /// The whole public key, or empty if there is none or only its token is known.
    pub public_key: Box<[u8]>,
    /// The token as given; [`AssemblyName::token`] also computes it from the key.
    pub public_key_token: Option<[u8; 8]>,
}

/// `AssemblyFlags.Retargetable`: another publisher's assembly of that name will do.
pub const RETARGETABLE: u32 = 0x100;

impl AssemblyName {
    /// A name with nothing but the simple name.
    pub fn simple(name: &str) -> AssemblyName {
        AssemblyName { name: name.into(), ..AssemblyName::default() }
    }

    /// The token of the public key: as given, or computed.
    pub fn token(&self) -> Option<[u8; 8]> {
        match self.public_key_token {
            None if !self.public_key.is_empty() => Some(public_key_token(&self.public_key)),
            given => given,
        }
    }

    /// Parses the display form, see [`DisplayName`].
    pub fn parse(text: &str) -> Result<AssemblyName> {
        Ok(DisplayName::parse(text)?.name)
    }
}

impl fmt::Display for AssemblyName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let culture = if self.culture.is_empty() { "neutral" } else { &self.culture };
        write!(formatter, "{}, Version={}, Culture={culture}, PublicKeyToken=", self.name, self.version)?;
        match self.token() {
            Some(token) => token.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))?,
            None => formatter.write_str("null")?,
        }
        if self.flags & RETARGETABLE != 0 {
            formatter.write_str(", Retargetable=Yes")?;
        }
        Ok(())
    }
}

impl Version {
    /// Parses one to four numbers with dots between them.
    pub fn parse(text: &str) -> Option<Version> {
        let mut numbers = [0; 4];
        let mut parts = text.split('.');
        for number in &mut numbers {
            match parts.next() {
                Some(part) => *number = part.parse().ok()?,
                None => break,
            }
        }
        let [major, minor, build, revision] = numbers;
        parts.next().is_none().then_some(Version { major, minor, build, revision })
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}.{}", self.major, self.minor, self.build, self.revision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_form_there_and_back() {
        let text = "System.Core, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089";
        assert_eq!(AssemblyName::parse(text).unwrap().to_string(), text);
        let german = AssemblyName::parse("a.resources, culture=de").unwrap();
        assert_eq!(german.to_string(), "a.resources, Version=0.0.0.0, Culture=de, PublicKeyToken=null");
    }
}

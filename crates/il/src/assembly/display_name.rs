//! Display names of assemblies: what Mono's class libraries accept, and what a name says and leaves out.

use super::name::{AssemblyName, RETARGETABLE, Version};
use super::sha1::public_key_token;
use crate::error::{Error, ErrorKind, Result};

/// `ProcessorArchitecture`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ProcessorArchitecture {
    #[default]
    None,
    Msil,
    X86,
    Ia64,
    Amd64,
    Arm,
}

impl ProcessorArchitecture {
    const NAMES: [(&'static str, ProcessorArchitecture); 5] = [
        ("MSIL", ProcessorArchitecture::Msil),
        ("X86", ProcessorArchitecture::X86),
        ("IA64", ProcessorArchitecture::Ia64),
        ("AMD64", ProcessorArchitecture::Amd64),
        ("ARM", ProcessorArchitecture::Arm),
    ];
}

/// A display name, taken apart: `Name, Version=1.2.3.4, Culture=neutral, PublicKeyToken=b77a5c561934e089`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DisplayName {
    /// The name, with neutral values for what the text does not say.
    pub name: AssemblyName,
    /// A version is given.
    pub has_version: bool,
    /// A culture is given, be it `neutral`.
    pub has_culture: bool,
    /// A token is given, be it `null`.
    pub has_token: bool,
    /// The processor architecture.
    pub architecture: ProcessorArchitecture,
}

/// At most so many parts are told apart; the last one takes the rest of the text.
const PART_LIMIT: usize = 6;

impl DisplayName {
    /// Parses a display name. One that leaves a part empty, has unknown parts, or is said to be retargetable and not full is refused.
    pub fn parse(text: &str) -> Result<DisplayName> {
        DisplayName::of_parts(text).ok_or_else(|| Error::new(ErrorKind::FileLoad, "invalid assembly name").with_name(text))
    }

    fn of_parts(text: &str) -> Option<DisplayName> {
        let mut parts = text.splitn(PART_LIMIT, ',').map(str::trim);
        let simple = parts.next().filter(|name| !name.is_empty() && !name.contains(['/', ':', '\\']))?;
        let mut parsed = DisplayName { name: AssemblyName::simple(unquoted(simple)), ..DisplayName::default() };
        let (mut says_retargetable, mut token, mut key) = (false, None, None);
        for part in parts {
            let (part, value) = part.split_once('=')?;
            let value = value.trim();
            let content = unquoted(value);
            match part.trim_end().to_ascii_lowercase().as_str() {
                "retargetable" => {
                    says_retargetable = true;
                    match content.to_ascii_lowercase().as_str() {
                        "yes" => parsed.name.flags |= RETARGETABLE,
                        "no" => {}
                        _ => return None,
                    }
                }
                "processorarchitecture" => {
                    let mut known = ProcessorArchitecture::NAMES.into_iter();
                    parsed.architecture = known.find(|(name, _)| name.eq_ignore_ascii_case(content))?.1;
                }
                _ if value.is_empty() => return None,
                "version" => {
                    parsed.has_version = true;
                    parsed.name.version = leading_version(content)?;
                }
                "culture" => {
                    parsed.has_culture = true;
                    parsed.name.culture = if content.eq_ignore_ascii_case("neutral") { "".into() } else { content.into() };
                }
                "publickeytoken" => token = Some(content),
                "publickey" => key = Some(content),
                _ => return None,
            }
        }
        parsed.has_token = token.is_some();
        if says_retargetable && !(parsed.has_version && parsed.has_culture && (token.is_some() || key.is_some())) {
            return None;
        }
        if let Some(token) = token.filter(|token| !token.starts_with("null")) {
            parsed.name.public_key_token = Some(hex_bytes(token)?.try_into().ok()?);
        }
        if let Some(key) = key {
            let key = hex_bytes(key)?;
            parsed.name.public_key_token = Some(public_key_token(&key));
            if key != ECMA_KEY {
                parsed.name.public_key = Some(key).filter(|key| is_public_key(key))?.into();
            }
        }
        Some(parsed)
    }
}

impl AssemblyName {
    /// Parses the display form behind a type's name, where Mono takes what it understands: unknown parts are left out, and what follows a
    /// broken version. There is nothing to take where a comma ends the text.
    pub fn parse_behind_type(text: &str) -> Option<AssemblyName> {
        let text = text.trim_start();
        let is_of_name = |character: char| character.is_ascii_alphanumeric() || " .-_$@\t".contains(character);
        let quoted = text.strip_prefix('"');
        let start = quoted.unwrap_or(text);
        let (name, rest) = start.split_at(start.find(|character| !is_of_name(character)).unwrap_or(start.len()));
        let rest = if quoted.is_some() { rest.strip_prefix('"').unwrap_or(rest) } else { rest };
        let Some(rest) = rest.strip_prefix(',') else {
            return Some(AssemblyName::simple(if rest.is_empty() { name } else { start }));
        };
        let mut parsed = AssemblyName::simple(name.trim_end());
        let mut parts = rest.split(',').map(str::trim).peekable();
        while let Some(part) = parts.next() {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            match key.to_ascii_lowercase().as_str() {
                "" if parts.peek().is_none() => return None,
                "version" => match Version::parse(value) {
                    Some(version) => parsed.version = version,
                    None => break,
                },
                "culture" if !value.to_ascii_lowercase().starts_with("neutral") => parsed.culture = value.into(),
                "publickeytoken" => parsed.public_key_token = hex_bytes(value).and_then(|token| token.try_into().ok()),
                _ => {}
            }
        }
        Some(parsed)
    }
}

/// The standard's own key of the class libraries (ECMA-335 II.6.2.1.3), which is none that could sign. Of a name with it, only the token is kept.
const ECMA_KEY: [u8; 16] = [0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];

/// A text without the quotation marks around it.
fn unquoted(text: &str) -> &str {
    let within = |mark| text.strip_prefix(mark)?.strip_suffix(mark);
    within('"').or_else(|| within('\'')).unwrap_or(text)
}

/// Two to four numbers with dots between them; what follows them does not count.
fn leading_version(text: &str) -> Option<Version> {
    let mut numbers = [0; 4];
    let (mut rest, mut count) = (text, 0);
    while count < numbers.len() {
        let digits = rest.len() - rest.trim_start_matches(|character: char| character.is_ascii_digit()).len();
        let Ok(number) = rest[..digits].parse::<u64>() else { break };
        // Mono keeps the low bits.
        numbers[count] = number as u16;
        count += 1;
        match rest[digits..].strip_prefix('.') {
            Some(next) => rest = next,
            None => break,
        }
    }
    let [major, minor, build, revision] = numbers;
    (count >= 2).then_some(Version { major, minor, build, revision })
}

/// Whether bytes are an RSA key for checking signatures, alone or behind the header that says its algorithms.
fn is_public_key(key: &[u8]) -> bool {
    const HEADER: usize = 12;
    /// Type of blob, version, reserved.
    const START: [u8; 4] = [6, 2, 0, 0];
    const BEFORE_MODULUS: usize = 20;
    let blob = if key.first() == Some(&0) { key.get(HEADER..).unwrap_or_default() } else { key };
    let bits = blob.get(12..16).map(|bytes| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    blob.starts_with(&START)
        && blob.get(8..12) == Some(b"RSA1")
        && bits.is_some_and(|bits| (bits / 8) as usize + BEFORE_MODULUS == blob.len())
}

fn hex_bytes(text: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u32>> = text.chars().map(|digit| digit.to_digit(16)).collect();
    let digits = digits.filter(|digits| digits.len() % 2 == 0)?;
    Some(digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_name_says() {
        let parsed = DisplayName::parse("'a' , version = \"1.2\", ProcessorArchitecture=x86").unwrap();
        assert_eq!(&*parsed.name.name, "a");
        assert_eq!(parsed.name.version.to_string(), "1.2.0.0");
        assert_eq!(parsed.architecture, ProcessorArchitecture::X86);
        assert!(parsed.has_version && !parsed.has_culture && !parsed.has_token);
        assert_eq!(DisplayName::parse("a, Version=65537.2.3.4.5").unwrap().name.version.to_string(), "1.2.3.4");
        let ecma = DisplayName::parse("a, PublicKey=00000000000000000400000000000000").unwrap().name;
        assert!(ecma.public_key.is_empty() && ecma.token().is_some_and(|token| token[0] == 0xb7));
    }

    #[test]
    fn names_behind_types() {
        let parse = |text| AssemblyName::parse_behind_type(text).map(|name| name.to_string());
        let full = |name| Some(format!("{name}, Version=0.0.0.0, Culture=neutral, PublicKeyToken=null"));
        assert_eq!(parse("mscorlib"), full("mscorlib"));
        assert_eq!(parse("a b , Other=1"), full("a b"));
        assert_eq!(parse("\"a\", Version=x, Culture=de"), full("a"));
        assert_eq!(parse("a, Culture=de").as_deref(), Some("a, Version=0.0.0.0, Culture=de, PublicKeyToken=null"));
        assert_eq!(parse(", b"), full(""));
        assert_eq!(parse("a, "), None);
    }

    #[test]
    fn broken_names_are_refused() {
        let broken = [
            "",
            "a/b",
            "a, b",
            "a,",
            "a, Culture=",
            "a, Version=x",
            "a, Version=1",
            "a, PublicKeyToken=12",
            "a, PublicKeyToken=é1",
            "a, PublicKey=null",
            "a, PublicKey=06",
            "a, Retargetable=Yes",
            "a, Retargetable=perhaps",
            "a, ProcessorArchitecture=z80",
            "a, Language=de",
        ];
        for text in broken {
            assert!(DisplayName::parse(text).is_err(), "{text}");
        }
    }
}

//! What a program's configuration file says about its assemblies: `<runtime><assemblyBinding>` with `<probing privatePath>` and
//! `<bindingRedirect>`. All else in the file is none of this crate's business; a file that is no proper XML says nothing.

use crate::assembly::{AssemblyName, Version};
use std::path::PathBuf;

/// Policy for loading assemblies.
#[derive(Clone, Debug, Default)]
pub struct BindingPolicy {
    /// Folders below the program's in which its assemblies are, too.
    pub private_paths: Vec<PathBuf>,
    redirects: Vec<Redirect>,
}

/// References to some versions of an assembly mean another one.
#[derive(Clone, Debug)]
struct Redirect {
    name: AssemblyName,
    from: (Version, Version),
    to: Version,
}

/// A start tag: its name and what follows up to its end.
fn tags(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split('<').skip(1).filter_map(|piece| {
        let tag = &piece[..piece.find('>')?];
        let name_end = tag.find(|c: char| c.is_whitespace() || c == '/').unwrap_or(tag.len());
        Some(tag.split_at(name_end))
    })
}

/// The value of an attribute.
fn attribute<'a>(attributes: &'a str, name: &str) -> Option<&'a str> {
    let mut rest = attributes;
    while let Some((before, after)) = rest.split_once('=') {
        let after = after.trim_start();
        let quote = after.chars().next().filter(|c| matches!(c, '"' | '\''))?;
        let (value, next) = after[1..].split_once(quote)?;
        if before.trim() == name {
            return Some(value);
        }
        rest = next;
    }
    None
}

impl BindingPolicy {
    /// Reads the text of a configuration file.
    pub fn parse(text: &str) -> BindingPolicy {
        let mut policy = BindingPolicy::default();
        let mut identity: Option<AssemblyName> = None;
        let without_comments: String =
            text.split("<!--").map(|part| part.split_once("-->").map_or(part, |split| split.1)).collect();
        for (tag, attributes) in tags(&without_comments) {
            match tag {
                "probing" => {
                    let paths = attribute(attributes, "privatePath").unwrap_or_default();
                    policy
                        .private_paths
                        .extend(paths.split(';').map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from));
                }
                "assemblyIdentity" => {
                    let mut text = attribute(attributes, "name").unwrap_or_default().to_owned();
                    for (key, part) in [("culture", "Culture"), ("publicKeyToken", "PublicKeyToken")] {
                        if let Some(value) = attribute(attributes, key).filter(|value| !value.is_empty()) {
                            text.push_str(&format!(", {part}={value}"));
                        }
                    }
                    identity = AssemblyName::parse(&text).ok();
                }
                "bindingRedirect" => {
                    let old = attribute(attributes, "oldVersion").unwrap_or_default();
                    let (low, high) = old.split_once('-').unwrap_or((old, old));
                    let new = attribute(attributes, "newVersion").unwrap_or_default();
                    let parsed = (Version::parse(low.trim()), Version::parse(high.trim()), Version::parse(new.trim()));
                    if let ((Some(low), Some(high), Some(to)), Some(name)) = (parsed, &identity) {
                        policy.redirects.push(Redirect { name: name.clone(), from: (low, high), to });
                    }
                }
                _ => {}
            }
        }
        policy
    }

    /// The name that is to be loaded in place of `name`, if it is another.
    pub fn redirect(&self, name: &AssemblyName) -> Option<AssemblyName> {
        let found = self.redirects.iter().find(|redirect| {
            redirect.name.name.eq_ignore_ascii_case(&name.name)
                && redirect.name.culture == name.culture
                && redirect.name.token() == name.token()
                && (redirect.from.0..=redirect.from.1).contains(&name.version)
        })?;
        (found.to != name.version).then(|| AssemblyName { version: found.to, ..name.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_within_their_range() {
        let policy = BindingPolicy::parse(
            r#"<?xml version="1.0"?><configuration><!-- <probing privatePath="no"/> --><runtime>
               <assemblyBinding xmlns="urn:schemas-microsoft-com:asm.v1"><probing privatePath="a; b/c"/><dependentAssembly>
               <assemblyIdentity name="Lib" publicKeyToken="537eab56aa911cb7" culture='neutral' />
               <bindingRedirect oldVersion="0.0.0.0-1.0.0.0" newVersion="2.0.0.0" /></dependentAssembly></assemblyBinding>"#,
        );
        assert_eq!(policy.private_paths, [PathBuf::from("a"), PathBuf::from("b/c")]);
        let redirected = |text: &str| policy.redirect(&AssemblyName::parse(text).unwrap()).map(|name| name.version.major);
        assert_eq!(redirected("lib, Version=1.0.0.0, PublicKeyToken=537eab56aa911cb7"), Some(2));
        assert_eq!(redirected("Lib, Version=1.5.0.0, PublicKeyToken=537eab56aa911cb7"), None);
        assert_eq!(redirected("Lib, Version=1.0.0.0"), None);
        for broken in ["", "<", "<probing", "<probing privatePath=", "<bindingRedirect oldVersion='1'/>", "<!--"] {
            BindingPolicy::parse(broken);
        }
    }
}

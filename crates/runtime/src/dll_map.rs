//! `<dllmap>` entries of configuration files: other names for native libraries and functions.
//!
//! They stand in `ASSEMBLY.config` beside an assembly, for its own imports, and in `/etc/mono/config` for all. Only start tags and their
//! attributes matter, so this reads those and skips the rest of the XML.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// The file for all programs, unless `MONO_CFG_DIR` names another folder than `/etc`.
const GLOBAL_FOLDER: &str = "/etc";
const GLOBAL_FILE: &str = "mono/config";

/// An entry.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Mapping {
    library: String,
    /// The one function that it is about; else all.
    function: Option<String>,
    target: String,
    target_function: Option<String>,
}

/// The entries of a file, in order.
#[derive(Clone, Default, Debug)]
pub struct DllMap {
    entries: Vec<Mapping>,
}

impl DllMap {
    /// The entries of a file; none if it cannot be read.
    pub fn read(path: &Path) -> DllMap {
        std::fs::read_to_string(path).map_or_else(|_| DllMap::default(), |text| DllMap::parse(&text))
    }

    /// The file for all programs.
    pub fn global() -> &'static DllMap {
        static GLOBAL: OnceLock<DllMap> = OnceLock::new();
        GLOBAL.get_or_init(|| {
            let folder = std::env::var_os("MONO_CFG_DIR").map_or_else(|| PathBuf::from(GLOBAL_FOLDER), PathBuf::from);
            DllMap::read(&folder.join(GLOBAL_FILE))
        })
    }

    /// The entries in the text of a configuration file.
    pub fn parse(text: &str) -> DllMap {
        let mut entries = Vec::new();
        let mut library: Option<String> = None;
        for tag in start_tags(text) {
            let attribute = |name: &str| tag.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
            match tag.name {
                "dllmap" => {
                    library = attribute("dll").filter(|_| applies(&attribute));
                    if let (Some(library), Some(target)) = (&library, attribute("target")) {
                        entries.push(Mapping { library: library.clone(), function: None, target, target_function: None });
                    }
                }
                "dllentry" if applies(&attribute) => {
                    if let (Some(library), Some(target), Some(function)) = (&library, attribute("dll"), attribute("name")) {
                        let target_function = attribute("target");
                        let library = library.clone();
                        entries.push(Mapping { library, function: Some(function), target, target_function });
                    }
                }
                _ => {}
            }
        }
        DllMap { entries }
    }

    /// What stands for a function of a library, if there is an entry for it.
    pub fn lookup(&self, library: &str, function: &str) -> Option<(String, String)> {
        let of_library = |entry: &&Mapping| match entry.library.strip_prefix("i:") {
            Some(name) => name.eq_ignore_ascii_case(library),
            None => entry.library == library,
        };
        let matching = || self.entries.iter().filter(of_library);
        let own = matching().find(|entry| entry.function.as_deref() == Some(function));
        let found = own.or_else(|| matching().find(|entry| entry.function.is_none()))?;
        let target_function = found.target_function.clone().unwrap_or_else(|| function.to_owned());
        Some((found.target.clone(), target_function))
    }
}

/// Whether an entry is for this system.
fn applies(attribute: &impl Fn(&str) -> Option<String>) -> bool {
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x86-64",
        other => other,
    };
    let word_size = if size_of::<usize>() == 8 { "64" } else { "32" };
    let is_listed = |name: &str, own: &str| {
        attribute(name).is_none_or(|list| match list.strip_prefix('!') {
            Some(others) => !others.split(',').any(|other| other.trim() == own),
            None => list.split(',').any(|other| other.trim() == own),
        })
    };
    is_listed("os", "linux") && is_listed("cpu", cpu) && is_listed("wordsize", word_size)
}

struct Tag<'a> {
    name: &'a str,
    attributes: Vec<(String, String)>,
}

fn start_tags(text: &str) -> Vec<Tag<'_>> {
    let mut tags = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            rest = comment.find("-->").map_or("", |end| &comment[end..]);
            continue;
        }
        let Some(end) = rest.find('>') else { break };
        let inside = rest[..end].trim_end_matches('/');
        rest = &rest[end..];
        let name_end = inside.find(char::is_whitespace).unwrap_or(inside.len());
        tags.push(Tag { name: &inside[..name_end], attributes: attributes(&inside[name_end..]) });
    }
    tags
}

fn attributes(mut text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    while let Some((name, after)) = text.split_once('=') {
        let after = after.trim_start();
        let Some(quote) = after.chars().next().filter(|quote| matches!(quote, '"' | '\'')) else { break };
        let Some((value, remaining)) = after[1..].split_once(quote) else { break };
        found.push((name.trim().to_owned(), value.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")));
        text = remaining;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_for_other_systems_do_not_count() {
        let map = DllMap::parse(
            "<?xml version='1.0'?><configuration>\
             <!-- <dllmap dll=\"one\" target=\"comment\"/> -->\
             <dllmap dll=\"one\" target=\"other.so\" os=\"windows\"/>\
             <dllmap dll=\"one\" target=\"one.so\" os=\"!windows\" />\
             <dllmap dll=\"i:Two.dll\" target='two.so'><dllentry name=\"f\" dll=\"three.so\" target=\"g\"/></dllmap>\
             </configuration>",
        );
        let target = |library: &str, function: &str| map.lookup(library, function);
        assert_eq!(target("one", "f"), Some(("one.so".into(), "f".into())));
        assert_eq!(target("TWO.dll", "f"), Some(("three.so".into(), "g".into())));
        assert_eq!(target("two.dll", "h"), Some(("two.so".into(), "h".into())));
        assert_eq!(target("none", "f"), None);
    }
}

//! From an assembly name to a file: the folders and the order in which Mono looks.
//!
//! Only asks whether files exist; whether one is what was asked for shows when it is opened.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::assembly::{AssemblyName, Version};
use crate::error::{Error, ErrorKind, Result};

/// Where assemblies are looked for. Plain data; the order is that of [`AssemblyResolver::resolve`].
#[derive(Clone, Debug)]
pub struct AssemblyResolver {
    /// Folders of the program: its own, and the private ones below it.
    pub application_paths: Vec<PathBuf>,
    /// Folders of `MONO_PATH`.
    pub search_paths: Vec<PathBuf>,
    /// Global assembly caches.
    pub caches: Vec<PathBuf>,
    /// The class libraries' folder; its `Facades` are looked into after it.
    pub framework: PathBuf,
}

/// Where Debian and most others install the class libraries.
pub const DEFAULT_FRAMEWORK: &str = "/usr/lib/mono/4.5";

/// File name endings of assemblies, in the order of trial.
const EXTENSIONS: [&str; 2] = ["dll", "exe"];

/// Public key tokens of class libraries. A reference to any version of those is served by the installed one, as are
/// references to the same library of another platform (Silverlight, portable).
pub(crate) const FRAMEWORK_TOKENS: [[u8; 8]; 6] = [
    [0xb7, 0x7a, 0x5c, 0x56, 0x19, 0x34, 0xe0, 0x89],
    [0xb0, 0x3f, 0x5f, 0x7f, 0x11, 0xd5, 0x0a, 0x3a],
    [0x31, 0xbf, 0x38, 0x56, 0xad, 0x36, 0x4e, 0x35],
    [0x07, 0x38, 0xeb, 0x9f, 0x13, 0x2e, 0xd7, 0x56],
    [0x7c, 0xec, 0x85, 0xd7, 0xbe, 0xa7, 0x79, 0x8e],
    [0xcc, 0x7b, 0x13, 0xff, 0xcd, 0x2d, 0xdd, 0x51],
];

impl AssemblyResolver {
    /// Looks in a class library folder and in the cache beside it.
    pub fn new(framework: impl Into<PathBuf>) -> AssemblyResolver {
        let framework = framework.into();
        let caches = framework.parent().map(|parent| parent.join("gac")).into_iter().collect();
        AssemblyResolver { application_paths: Vec::new(), search_paths: Vec::new(), caches, framework }
    }

    /// The same with what `MONO_PATH` and `MONO_GAC_PREFIX` add; `variable` reads the environment.
    pub fn from_environment(framework: impl Into<PathBuf>, variable: impl Fn(&str) -> Option<OsString>) -> AssemblyResolver {
        let mut resolver = AssemblyResolver::new(framework);
        let paths = |name| {
            let value = variable(name).unwrap_or_default();
            std::env::split_paths(&value).filter(|path| !path.as_os_str().is_empty()).collect::<Vec<_>>()
        };
        resolver.search_paths = paths("MONO_PATH");
        let prefixes = paths("MONO_GAC_PREFIX");
        resolver.caches.splice(0..0, prefixes.iter().map(|prefix| prefix.join("lib/mono/gac")));
        resolver
    }

    /// The file of an assembly: first in the program's folders, then in those of `MONO_PATH`, the caches, the folder of the
    /// assembly that asks, and last the class libraries' folder. The core library is never taken from the program's folder.
    pub fn resolve(&self, name: &AssemblyName, requesting_folder: Option<&Path>) -> Result<PathBuf> {
        let is_core_library = &*name.name == "mscorlib";
        let application_paths: &[PathBuf] = if is_core_library { &[] } else { &self.application_paths };
        let found = probe_all(application_paths, name)
            .or_else(|| probe_all(&self.search_paths, name))
            .or_else(|| if is_core_library { None } else { self.in_caches(name) })
            .or_else(|| requesting_folder.filter(|_| !is_core_library).and_then(|folder| probe(folder, name)))
            .or_else(|| probe(&self.framework, name))
            .or_else(|| probe(&self.framework.join("Facades"), name));
        found.ok_or_else(|| {
            Error::new(ErrorKind::FileNotFound, "could not load file or assembly or one of its dependencies")
                .with_name(name.to_string())
        })
    }

    /// The satellite of an assembly for a culture: beside it in the culture's folder, or anywhere else an assembly may be.
    pub fn resolve_satellite(&self, name: &AssemblyName, culture: &str, folder: Option<&Path>) -> Result<PathBuf> {
        let mut satellite = name.clone();
        satellite.name = format!("{}.resources", name.name).into();
        satellite.culture = culture.into();
        match folder.and_then(|folder| probe(folder, &satellite)) {
            Some(path) => Ok(path),
            None => self.resolve(&satellite, None),
        }
    }

    fn in_caches(&self, name: &AssemblyName) -> Option<PathBuf> {
        let token = name.token()?;
        let text = token.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let exact = format!("{}_{}_{text}", name.version, name.culture);
        // Mono finds those that are named like their files, too.
        let simple = name.name.strip_suffix(".dll").unwrap_or(&name.name);
        let file_name = format!("{simple}.dll");
        self.caches.iter().find_map(|cache| {
            let folder = cache.join(simple);
            let path = folder.join(&exact).join(&file_name);
            if path.is_file() {
                return Some(path);
            }
            if !FRAMEWORK_TOKENS.contains(&token) {
                return None;
            }
            let path = folder.join(nearest_version(&folder, name)?).join(&file_name);
            path.is_file().then_some(path)
        })
    }
}

/// The library that serves references to one that is gone: the build tools of before 4.0 had other names.
pub(crate) fn replacement(name: &AssemblyName) -> Option<AssemblyName> {
    const VERSION: Version = Version { major: 4, minor: 0, build: 0, revision: 0 };
    let new_name = match &*name.name {
        "Microsoft.Build.Tasks" | "Microsoft.Build.Tasks.v3.5" => "Microsoft.Build.Tasks.v4.0",
        "Microsoft.Build.Utilities" | "Microsoft.Build.Utilities.v3.5" => "Microsoft.Build.Utilities.v4.0",
        _ => return None,
    };
    Some(AssemblyName { name: new_name.into(), version: VERSION, ..name.clone() })
}

/// The subfolder `VERSION_CULTURE_TOKEN` of the lowest version for a culture that is not older than the wanted one, or else of the highest, of
/// whichever publisher.
fn nearest_version(folder: &Path, name: &AssemblyName) -> Option<OsString> {
    let entries = std::fs::read_dir(folder).ok()?;
    let candidates = entries.filter_map(|entry| {
        let file_name = entry.ok()?.file_name();
        let (version, rest) = file_name.to_str()?.split_once('_')?;
        let (culture, _token) = rest.split_once('_')?;
        (*culture == *name.culture).then_some((Version::parse(version)?, file_name))
    });
    // The name takes part in the comparison, so that the choice does not depend on the order of the folder's entries.
    let (newer, older): (Vec<_>, Vec<_>) = candidates.partition(|(version, _)| *version >= name.version);
    newer.into_iter().min().or_else(|| older.into_iter().max()).map(|(_, name)| name)
}

pub(crate) fn probe_all(folders: &[PathBuf], name: &AssemblyName) -> Option<PathBuf> {
    folders.iter().find_map(|folder| probe(folder, name))
}

/// `FOLDER/[CULTURE/]NAME.dll` and `FOLDER/[CULTURE/]NAME/NAME.dll`, then the same with `.exe`.
fn probe(folder: &Path, name: &AssemblyName) -> Option<PathBuf> {
    // A name is not a path: with separators in it, it would lead out of the folder.
    let is_plain = |part: &str| !part.contains(['/', '\0']) && part != "." && part != "..";
    if !is_plain(&name.name) || !is_plain(&name.culture) {
        return None;
    }
    let folder = if name.culture.is_empty() { folder.to_owned() } else { folder.join(&*name.culture) };
    EXTENSIONS.iter().find_map(|extension| {
        let file_name = format!("{}.{extension}", name.name);
        let beside = folder.join(&file_name);
        if beside.is_file() {
            return Some(beside);
        }
        let below = folder.join(&*name.name).join(&file_name);
        below.is_file().then_some(below)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder tree of its own that is removed at the end.
    struct Tree(PathBuf);

    impl Tree {
        fn new(files: &[&str]) -> Tree {
            let root = std::env::temp_dir().join(format!("saki-resolve-{}", std::process::id()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, b"").unwrap();
            }
            Tree(root)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            std::fs::remove_dir_all(&self.0).ok();
        }
    }

    #[test]
    fn order_versions_and_cultures() {
        let tree = Tree::new(&[
            "app/A.dll",
            "app/de/A.resources.dll",
            "path/A.dll",
            "path/B/B.exe",
            "mono/4.5/mscorlib.dll",
            "mono/4.5/Facades/C.dll",
            "mono/gac/System/4.0.0.0__b77a5c561934e089/System.dll",
            "mono/gac/System/2.0.0.0__b77a5c561934e089/System.dll",
            "mono/gac/System/14.0.0.0__b77a5c561934e089/System.dll",
        ]);
        let root = &tree.0;
        let mut resolver = AssemblyResolver::from_environment(root.join("mono/4.5"), |name| {
            (name == "MONO_PATH").then(|| root.join("path").into_os_string())
        });
        resolver.application_paths.push(root.join("app"));
        let find = |text: &str| resolver.resolve(&AssemblyName::parse(text).unwrap(), None);
        let found = |text: &str| find(text).unwrap().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        assert_eq!(found("A"), "app/A.dll");
        assert_eq!(found("B"), "path/B/B.exe");
        assert_eq!(found("C"), "mono/4.5/Facades/C.dll");
        assert_eq!(found("mscorlib, Version=2.0.0.0"), "mono/4.5/mscorlib.dll");
        let system = "System, Version=3.5.0.0, PublicKeyToken=b77a5c561934e089";
        assert_eq!(found(system), "mono/gac/System/4.0.0.0__b77a5c561934e089/System.dll");
        let newer = "System, Version=15.0.0.0, PublicKeyToken=b77a5c561934e089";
        assert_eq!(found(newer), "mono/gac/System/14.0.0.0__b77a5c561934e089/System.dll");
        assert_eq!(resolver.resolve(&AssemblyName::simple("../app/A"), None).unwrap_err().kind(), ErrorKind::FileNotFound);
        let satellite = resolver.resolve_satellite(&AssemblyName::simple("A"), "de", Some(&root.join("app"))).unwrap();
        assert!(satellite.ends_with("app/de/A.resources.dll"));
    }
}

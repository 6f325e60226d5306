//! Building and running for the three targets: the toolchain for x86 and ARM, and the environment that makes cargo use it.
//!
//! The Rust that a distribution-independent installer brings has no standard library for 32-bit Linux. Debian packages one compiler version
//! with the libraries of all three targets: it is unpacked into a private prefix, so that the system's packages stay as they are. Compilers,
//! linkers and C libraries for C code are Debian's cross packages.

use crate::packages::{self, Package};
use crate::shell::{cache_folder, has_command, root, run, target_folder};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The compiler version that Debian 12 has for all of [`TARGETS`].
const RUST_VERSION: &str = "1.85.0";
const RUST_SERIES: &str = "1.85";

/// What the loader and the C compiler of a foreign target need.
struct Foreign {
    debian_architecture: &'static str,
    c_compiler: &'static str,
    /// Starts a program of this target on the host: its words come before the program's path.
    runner: &'static [&'static str],
}

/// A target that `saki` is built for.
pub struct Target {
    /// The name for people, as in `--target x86`.
    pub name: &'static str,
    /// Rust's name.
    pub triple: &'static str,
    foreign: Option<Foreign>,
}

/// All targets; the first is the host's.
pub const TARGETS: &[Target] = &[
    Target { name: "amd64", triple: "x86_64-unknown-linux-gnu", foreign: None },
    Target {
        name: "x86",
        triple: "i686-unknown-linux-gnu",
        foreign: Some(Foreign {
            debian_architecture: "i386",
            c_compiler: "i686-linux-gnu-gcc",
            runner: &["/usr/i686-linux-gnu/lib/ld-linux.so.2", "--library-path", "/usr/i686-linux-gnu/lib"],
        }),
    },
    Target {
        name: "arm",
        triple: "armv7-unknown-linux-gnueabihf",
        foreign: Some(Foreign {
            debian_architecture: "armhf",
            c_compiler: "arm-linux-gnueabihf-gcc",
            runner: &["qemu-arm", "-L", "/usr/arm-linux-gnueabihf"],
        }),
    },
];

/// Debian's packages for foreign targets.
const PACKAGES: &[Package] = &[
    Package { name: "gcc-i686-linux-gnu", is_there: || has_command("i686-linux-gnu-gcc") },
    Package { name: "libc6-dev-i386-cross", is_there: || Path::new("/usr/i686-linux-gnu/lib/crt1.o").exists() },
    Package { name: "gcc-arm-linux-gnueabihf", is_there: || has_command("arm-linux-gnueabihf-gcc") },
    Package { name: "libc6-dev-armhf-cross", is_there: || Path::new("/usr/arm-linux-gnueabihf/lib/crt1.o").exists() },
    Package { name: "qemu-user", is_there: || has_command("qemu-arm") },
    Package { name: "libllvm19", is_there: || Path::new("/usr/lib/x86_64-linux-gnu/libLLVM.so.19.1").exists() },
];

impl Target {
    /// The target that people call so.
    pub fn named(name: &str) -> Result<&'static Target, String> {
        let found = TARGETS.iter().find(|target| target.name == name || target.triple == name);
        found.ok_or_else(|| format!("unknown target «{name}», known are amd64, x86 and arm"))
    }

    /// Whether programs of the target need the cross toolchain.
    pub fn is_foreign(&self) -> bool {
        self.foreign.is_some()
    }

    /// The variables with which cargo builds for this target and runs what it built.
    fn environment(&self) -> Vec<(String, String)> {
        let Some(foreign) = &self.foreign else { return Vec::new() };
        let prefix = rust_prefix();
        let upper = self.triple.replace('-', "_").to_uppercase();
        let lower = self.triple.replace('-', "_");
        vec![
            ("RUSTC".to_owned(), prefix.join("usr/bin/rustc").display().to_string()),
            ("LD_LIBRARY_PATH".to_owned(), prefix.join("usr/lib/x86_64-linux-gnu").display().to_string()),
            ("CARGO_BUILD_TARGET".to_owned(), self.triple.to_owned()),
            (format!("CARGO_TARGET_{upper}_LINKER"), foreign.c_compiler.to_owned()),
            (format!("CARGO_TARGET_{upper}_RUNNER"), self.runner()),
            (format!("CC_{lower}"), foreign.c_compiler.to_owned()),
        ]
    }

    /// The words that start a program of this target on the host.
    pub fn runner(&self) -> String {
        self.foreign.as_ref().map_or_else(String::new, |foreign| foreign.runner.join(" "))
    }

    /// Whether programs run under `qemu`, which keeps some 170 KB for each thread that has ended: their memory tells nothing.
    pub fn is_emulated(&self) -> bool {
        self.runner().starts_with("qemu")
    }

    /// The C compiler for this target.
    pub fn c_compiler(&self) -> &'static str {
        self.foreign.as_ref().map_or("cc", |foreign| foreign.c_compiler)
    }

    /// The release build of `saki` for this target.
    pub fn saki(&self) -> PathBuf {
        target_folder().join(self.triple).join("release/saki")
    }

    /// Cargo, set up for this target, in the checkout.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new("cargo");
        command.current_dir(root()).envs(self.environment());
        if self.is_foreign() {
            // The toolchain manager sets these for its own compiler.
            command.env_remove("RUSTUP_TOOLCHAIN").env_remove("RUSTDOC");
        }
        command
    }
}

/// `cargo xtask toolchain`: installs what building for x86 and ARM needs.
pub fn install_toolchain(_arguments: &[String]) -> Result<(), String> {
    packages::install_from(PACKAGES)?;
    let prefix = rust_prefix();
    if prefix.join("usr/bin/rustc").exists() {
        return Ok(());
    }
    let unpacked = prefix.with_extension("partial");
    let apt = unpacked.join("apt");
    let _ = std::fs::remove_dir_all(&unpacked);
    for folder in ["lists/partial", "cache/archives/partial", "sources", "packages"] {
        make_folder(&apt.join(folder))?;
    }
    let architectures: Vec<&str> = std::iter::once("amd64").chain(foreign_architectures()).collect();
    let source = format!(
        "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: bookworm\nComponents: main\nArchitectures: {}\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
        architectures.join(" ")
    );
    let source_file = apt.join("sources/bookworm.sources");
    std::fs::write(&source_file, source).map_err(|error| format!("{}: {error}", source_file.display()))?;

    println!("toolchain 1/3: reading Debian's package lists");
    run(apt_get(&apt, &architectures).args(["update", "-qq"]))?;
    println!("toolchain 2/3: downloading Rust {RUST_VERSION} with the libraries for {}", architectures.join(", "));
    let mut names = vec![format!("rustc-web={RUST_VERSION}*")];
    for architecture in &architectures {
        names.push(format!("libstd-rust-web-dev:{architecture}={RUST_VERSION}*"));
        names.push(format!("libstd-rust-web-{RUST_SERIES}:{architecture}={RUST_VERSION}*"));
    }
    run(apt_get(&apt, &architectures).current_dir(apt.join("packages")).arg("download").args(&names))?;
    println!("toolchain 3/3: unpacking into {}", prefix.display());
    let files = std::fs::read_dir(apt.join("packages")).map_err(|error| format!("{}: {error}", apt.display()))?;
    for file in files.flatten() {
        run(Command::new("dpkg-deb").arg("-x").arg(file.path()).arg(&unpacked))?;
    }
    std::fs::remove_dir_all(&apt).map_err(|error| format!("{}: {error}", apt.display()))?;
    // Only what is complete gets the name by which it is found.
    std::fs::rename(&unpacked, &prefix).map_err(|error| format!("{}: {error}", prefix.display()))
}

/// `cargo xtask build [--target NAME] [CARGO BUILD ARGUMENTS]`: builds `saki` for a target.
pub fn build(arguments: &[String]) -> Result<(), String> {
    let (target, rest) = take_target(arguments)?;
    build_saki(target.unwrap_or(&TARGETS[0]), &rest)
}

/// `cargo xtask cross TARGET CARGO-ARGUMENTS…`: any command of cargo with a target's toolchain, tests run as on that target.
pub fn cross(arguments: &[String]) -> Result<(), String> {
    let [name, rest @ ..] = arguments else { return Err("which target? (amd64, x86 or arm, then cargo's arguments)".to_owned()) };
    let target = Target::named(name)?;
    prepare(target)?;
    run(target.cargo().args(rest))
}

/// `cargo xtask environment TARGET`: the variables that `cross` sets, as shell commands.
pub fn print_environment(arguments: &[String]) -> Result<(), String> {
    let target = Target::named(arguments.first().map_or("", String::as_str))?;
    for (name, value) in target.environment() {
        println!("export {name}='{value}'");
    }
    Ok(())
}

/// Builds `saki` for a target; `options` go to `cargo build`.
pub fn build_saki(target: &Target, options: &[String]) -> Result<(), String> {
    prepare(target)?;
    println!("building saki for {} (a first build takes some minutes)", target.name);
    // Named even for the host, so that all three land in folders of their targets.
    run(target.cargo().args(["build", "--package", "saki", "--target", target.triple]).args(options))
}

/// Builds the release `saki` that runs programs of a target, and gives its path: the host's own lies where plain cargo puts it.
pub fn release_saki(target: &Target) -> Result<PathBuf, String> {
    if !target.is_foreign() {
        crate::shell::build_saki()?;
        return Ok(crate::shell::saki());
    }
    build_saki(target, &["--release".to_owned()])?;
    Ok(target.saki())
}

fn prepare(target: &Target) -> Result<(), String> {
    match target.is_foreign() {
        true => install_toolchain(&[]),
        false => Ok(()),
    }
}

/// Splits off `--target NAME`.
pub fn take_target(arguments: &[String]) -> Result<(Option<&'static Target>, Vec<String>), String> {
    let mut rest = arguments.to_vec();
    let Some(at) = rest.iter().position(|word| word == "--target") else { return Ok((None, rest)) };
    let words: Vec<String> = rest.drain(at..(at + 2).min(rest.len())).collect();
    let name = words.get(1).ok_or("--target needs a name: amd64, x86 or arm")?;
    Ok((Some(Target::named(name)?), rest))
}

fn foreign_architectures() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().filter_map(|target| target.foreign.as_ref()).map(|foreign| foreign.debian_architecture)
}

/// Where the compiler is unpacked.
fn rust_prefix() -> PathBuf {
    cache_folder().join(format!("rust-{}", RUST_VERSION.replace('.', "-")))
}

fn make_folder(folder: &Path) -> Result<(), String> {
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

/// `apt-get` with lists, cache and sources of its own; the system's are neither read nor written.
fn apt_get(folder: &Path, architectures: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    let mut set = |name: &str, value: String| {
        command.arg("-o").arg(format!("{name}={value}"));
    };
    set("Dir::State::Lists", folder.join("lists").display().to_string());
    set("Dir::Cache", folder.join("cache").display().to_string());
    set("Dir::Etc::SourceList", "/dev/null".to_owned());
    set("Dir::Etc::SourceParts", folder.join("sources").display().to_string());
    set("Dir::State::status", "/dev/null".to_owned());
    set("APT::Sandbox::User", "root".to_owned());
    set("APT::Architecture", "amd64".to_owned());
    for architecture in architectures {
        set("APT::Architectures::", (*architecture).to_owned());
    }
    command
}

//! The Debian packages that tests and demo need.

use crate::shell::{has_command, run};
use std::path::Path;
use std::process::Command;

/// A package with how to see that it is there.
pub struct Package {
    /// Debian's name.
    pub name: &'static str,
    /// Looks for something that only this package brings.
    pub is_there: fn() -> bool,
}

const PACKAGES: &[Package] = &[
    Package { name: "mono-mcs", is_there: || has_command("mcs") && Path::new("/usr/lib/mono/4.5/mscorlib.dll").exists() },
    Package { name: "mono-devel", is_there: || has_command("ilasm") && Path::new("/usr/lib/mono/4.5/System.Core.dll").exists() },
    Package { name: "gcc", is_there: || has_command("cc") },
    Package { name: "elfutils", is_there: || has_command("eu-elflint") },
    Package { name: "binutils", is_there: || has_command("readelf") },
    Package { name: "gdb", is_there: || has_command("gdb") },
    Package { name: "binutils-arm-linux-gnueabihf", is_there: || has_command("arm-linux-gnueabihf-as") },
];

/// What the conformance runs of whole applications need besides.
pub const APPLICATIONS: &[Package] = &[
    Package { name: "mono-csharp-shell", is_there: || Path::new("/usr/lib/mono/4.5/csharp.exe").exists() },
    Package { name: "mono-xbuild", is_there: || Path::new("/usr/lib/mono/4.5/xbuild.exe").exists() },
    Package { name: "nunit-console", is_there: || Path::new("/usr/lib/nunit/nunit-console.exe").exists() },
    Package {
        name: "libnunit-framework2.6.3-cil",
        is_there: || Path::new("/usr/lib/cli/nunit.framework-2.6.3/nunit.framework.dll").exists(),
    },
];

/// What getting the class library's tests needs besides.
pub const DOWNLOADS: &[Package] =
    &[Package { name: "curl", is_there: || has_command("curl") }, Package { name: "xz-utils", is_there: || has_command("xz") }];

/// Installs what is missing for tests and demo on the host.
pub fn install() -> Result<(), String> {
    install_from(PACKAGES)
}

/// Installs what is missing of some packages. Needs root and Debian's `apt-get` only if something is.
pub fn install_from(packages: &[Package]) -> Result<(), String> {
    let missing: Vec<&str> = packages.iter().filter(|package| !(package.is_there)()).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(" "));
    if !has_command("apt-get") {
        return Err(format!("please install these packages of Debian, or what holds the same: {}", missing.join(" ")));
    }
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(&missing))
}

//! The machines that code is made for. The one place that names the back ends; everything else learns from them what it must know.

use ir::mach::{Architecture, Backend};

/// A machine that code can be made for.
#[derive(Debug)]
pub struct Target {
    /// Its instruction set.
    pub architecture: Architecture,
    /// The first words of triples that mean it: `armv7` of `armv7-linux-gnueabihf`. The first one is Rust's name of the architecture.
    machines: &'static [&'static str],
    /// The last words of its triples.
    environments: &'static [&'static str],
    /// The triple that Rust and its build folders have for it.
    pub rust_triple: &'static str,
    /// Makes its back end.
    pub backend: fn() -> Box<dyn Backend>,
}

/// All of them.
pub static TARGETS: &[Target] = &[
    Target {
        architecture: Architecture::X86,
        machines: &["x86", "i386", "i486", "i586", "i686"],
        environments: &["gnu"],
        rust_triple: "i686-unknown-linux-gnu",
        backend: || Box::new(x86::X86),
    },
    Target {
        architecture: Architecture::Amd64,
        machines: &["x86_64", "amd64"],
        environments: &["gnu"],
        rust_triple: "x86_64-unknown-linux-gnu",
        backend: || Box::new(amd64::Amd64),
    },
    Target {
        architecture: Architecture::Arm,
        machines: &["arm", "armv7", "armv7a", "armv7l", "armhf", "armv8l"],
        environments: &["gnueabihf"],
        rust_triple: "armv7-unknown-linux-gnueabihf",
        backend: || Box::new(arm::Arm),
    },
];

impl Target {
    /// Its name in options and paths.
    pub fn name(&self) -> &'static str {
        self.architecture.name()
    }

    /// Whether a triple means it: `MACHINE[-VENDOR]-linux-ENVIRONMENT`.
    fn has_triple(&self, triple: &str) -> bool {
        let words: Vec<&str> = triple.split('-').collect();
        let (&[machine, "linux", environment] | &[machine, _, "linux", environment]) = words.as_slice() else { return false };
        self.machines.contains(&machine) && self.environments.contains(&environment)
    }
}

/// The machine that this process runs on.
///
/// # Panics
/// On a machine without a back end, for which the runtime cannot be built.
pub fn host() -> &'static Target {
    let host = TARGETS.iter().find(|target| target.machines[0] == std::env::consts::ARCH);
    host.expect("the runtime builds only where there is a back end")
}

/// The machine with a name (`x86`, `amd64`, `arm`) or triple.
///
/// # Errors
/// One line for standard error.
pub fn find(text: &str) -> Result<&'static Target, String> {
    TARGETS.iter().find(|target| target.name() == text || target.has_triple(text)).ok_or_else(|| {
        let known: Vec<String> = TARGETS.iter().map(|target| format!("{} ({})", target.name(), target.rust_triple)).collect();
        format!("Unknown target '{text}'; known ones: {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_triples_lead_to_targets() {
        let cases = [
            (Architecture::X86, &["x86", "i686-linux-gnu", "i386-pc-linux-gnu", "i686-unknown-linux-gnu"][..]),
            (Architecture::Amd64, &["amd64", "x86_64-linux-gnu", "x86_64-unknown-linux-gnu"]),
            (Architecture::Arm, &["arm", "armv7-linux-gnueabihf", "arm-linux-gnueabihf", "armv7-unknown-linux-gnueabihf"]),
        ];
        for (architecture, names) in cases {
            for name in names {
                let found = find(name).map(Target::name);
                assert_eq!(found, Ok(architecture.name()), "{name}");
            }
        }
        // Code for ARM passes floats in registers; what is not Linux has another convention.
        for name in ["", "mips", "arm-linux-gnueabi", "x86_64-pc-windows-gnu", "i686", "linux-gnu"] {
            let error = find(name).map(Target::name).unwrap_err();
            assert!(error.starts_with(&format!("Unknown target '{name}'; known ones: x86 (")), "{error}");
        }
    }
}

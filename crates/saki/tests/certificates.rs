//! Certificates and encrypted connections, for which the class library calls a library of Mono's that is there for the machine itself only.

use std::path::{Path, PathBuf};
use std::process::Command;

const EXPECTED: &str = "\
CN=saki test 010203 True 3
sha256RSA 2048 False
no certificate
CN=saki test RemoteCertificateChainErrors
True Tls12
OVER TLS
";

#[test]
fn a_server_and_a_client_speak_tls() {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("certificates");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/certificates.cs");
    let compiled =
        Command::new("mcs").args(["-nologo", "-r:Mono.Security.dll", "-out:p.exe"]).arg(source).current_dir(&folder).output();
    let compiled = compiled.expect("mcs is installed");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let saki = std::env::var_os("SAKI").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_saki")), PathBuf::from);
    let output = Command::new(saki).arg("p.exe").current_dir(&folder).output().expect("saki runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), EXPECTED, "{}", String::from_utf8_lossy(&output.stderr));
}

//! Symbol files as Mono's compiler and Cecil write them, and broken ones.

use super::*;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

const PROGRAM: &str = "using System;
class Program {
  static int Half(int n) {
    if (n == 0)
      throw new ArgumentException();
#line 200
    return n / 2;
  }
#line 1 \"other.cs\"
  static void Main() {
    Console.WriteLine(Half(4));
  }
}
";

/// Gives each instruction of `Main` a line of its own, from 1000 on, but hides the second.
const WRITER: &str = "using System; using Mono.Cecil; using Mono.Cecil.Cil;
class Writer {
  static void Main(string[] args) {
    var module = ModuleDefinition.ReadModule(args[0]);
    var main = module.EntryPoint;
    var document = new Document(\"/src/folder/main.cs\");
    int number = 0;
    foreach (var instruction in main.Body.Instructions) {
      int line = number == 1 ? 0xfeefee : 1000 - 3 * number;
      main.DebugInformation.SequencePoints.Add(new SequencePoint(instruction, document) {
        StartLine = line, EndLine = line, StartColumn = 5 + number % 2, EndColumn = 20 });
      number++;
    }
    ISymbolWriterProvider provider = new PortablePdbWriterProvider();
    if (args[2] == \"embedded\") provider = new EmbeddedPortablePdbWriterProvider();
    module.Write(args[1], new WriterParameters { SymbolWriterProvider = provider });
  }
}
";

/// The library that writes portable PDB, if it is installed.
const CECIL: &str = "/usr/lib/mono/gac/Mono.Cecil/0.11.0.0__0738eb9f132ed756/Mono.Cecil.dll";

/// A folder of its own for one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("saki-debug-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn write(&self, name: &str, contents: &str) {
        std::fs::write(self.0.join(name), contents).unwrap();
    }

    /// Runs a command in the folder; whether it is installed.
    fn run(&self, command: &str, arguments: &[&str]) -> bool {
        let Ok(status) = Command::new(command).args(arguments).current_dir(&self.0).status() else { return false };
        assert!(status.success(), "{command} {arguments:?}");
        true
    }

    fn open(&self, name: &str) -> Arc<Assembly> {
        Assembly::open(&self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left behind in the folder of temporary files harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// (line, column) of all points.
fn places(points: &[SequencePoint]) -> Vec<(u32, u32)> {
    points.iter().map(|point| (point.line, point.column)).collect()
}

/// Takes cut and changed copies of a file: errors and wrong lines are fine, panics are not.
fn damage(bytes: &[u8], open: fn(Vec<u8>) -> Result<SymbolFile>) {
    let read_all = |bytes: Vec<u8>| {
        if let Ok(symbols) = open(bytes) {
            for row in 0..6 {
                for point in symbols.sequence_points(row) {
                    assert!((point.document as usize) < symbols.documents().len());
                }
            }
        }
    };
    for length in 0..bytes.len() {
        read_all(bytes[..length].to_vec());
    }
    for index in 0..bytes.len() {
        for mask in [0xff, 0x80, 1 << (index % 7)] {
            let mut changed = bytes.to_vec();
            changed[index] ^= mask;
            read_all(changed);
        }
    }
}

#[test]
fn symbols_of_monos_compiler() {
    let folder = Folder::new("mdb");
    folder.write("p.cs", PROGRAM);
    if !folder.run("mcs", &["-debug", "p.cs"]) {
        return;
    }
    let assembly = folder.open("p.exe");
    let symbols = SymbolFile::open_for(&assembly).unwrap().unwrap();
    // Row 1 is the constructor, which has no source.
    let half = symbols.sequence_points(2);
    assert_eq!(places(&half)[..3], [(3, 26), (4, 5), (5, 13)]);
    assert_eq!(places(&half)[3..].iter().map(|place| place.0).collect::<Vec<_>>(), [200, 201]);
    assert!(symbols.document(half[0].document).ends_with("/p.cs"), "{:?}", symbols.documents());
    assert_eq!(symbols.find(2, half[1].il_offset + 1), Some(half[1]));
    assert_eq!(symbols.find(2, u32::MAX), half.last().copied());
    let main = assembly.entry_point().unwrap();
    assert!(symbols.document(symbols.find(main, 1).unwrap().document).ends_with("other.cs"));
    assert_eq!((symbols.sequence_points(1), symbols.sequence_points(99), symbols.document(99)), (vec![], vec![], ""));
    damage(&std::fs::read(folder.0.join("p.exe.mdb")).unwrap(), SymbolFile::from_mono);

    // Those of another build are not taken.
    folder.write("p.cs", &PROGRAM.replace("WriteLine", "Write"));
    folder.run("mcs", &["p.cs"]);
    assert!(SymbolFile::open_for(&folder.open("p.exe")).unwrap().is_none());
}

#[test]
fn portable_symbols() {
    let folder = Folder::new("pdb");
    folder.write("p.cs", PROGRAM);
    folder.write("writer.cs", WRITER);
    if !Path::new(CECIL).exists() || !folder.run("mcs", &["p.cs"]) {
        return;
    }
    std::fs::copy(CECIL, folder.0.join("Mono.Cecil.dll")).unwrap();
    folder.run("mcs", &["-r:Mono.Cecil.dll", "writer.cs"]);
    for form in ["beside", "embedded"] {
        let name = format!("{form}.exe");
        folder.run("mono", &["writer.exe", "p.exe", &name, form]);
        let assembly = folder.open(&name);
        let symbols = SymbolFile::open_for(&assembly).unwrap().unwrap();
        let points = symbols.sequence_points(assembly.entry_point().unwrap());
        assert_eq!(places(&points)[..3], [(1000, 5), (994, 5), (991, 6)], "{form}");
        assert_eq!(symbols.document(points[0].document), "/src/folder/main.cs");
        // Offsets are those of instructions: a constant of one byte, then two calls of five.
        assert_eq!(points.iter().map(|point| point.il_offset).collect::<Vec<_>>()[..2], [0, 6]);
        assert_eq!(symbols.find(assembly.entry_point().unwrap(), 5), Some(points[0]));
        assert!(symbols.sequence_points(2).is_empty());
    }
    let bytes = std::fs::read(folder.0.join("beside.pdb")).unwrap();
    damage(&bytes, SymbolFile::from_portable);
    assert_ne!(portable_pdb::identity(&bytes), None);
    let embedded = folder.open("embedded.exe");
    let packed = embedded.image().debug_entries().find(|entry| entry.kind == EMBEDDED_SYMBOLS).unwrap().data;
    damage(packed, |bytes| SymbolFile::from_portable(portable_pdb::decompress(&bytes)?));
    // The file beside is not taken for another assembly.
    std::fs::copy(folder.0.join("p.exe"), folder.0.join("beside.exe")).unwrap();
    assert!(SymbolFile::open_for(&folder.open("beside.exe")).unwrap().is_none());
}

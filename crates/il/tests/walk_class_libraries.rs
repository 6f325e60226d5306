//! Reads everything there is in every installed assembly: each row, signature, method body, attribute and name.
//!
//! Passes without doing anything where no class libraries are installed.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use il::attributes::{AttributeArguments, EnumTypes, MarshalDescriptor};
use il::heaps::{BlobIndex, StringIndex};
use il::instruction::Operand;
use il::method_body::ClauseKind;
use il::signature::{MemberSig, MethodSig, PropertySig, StandAloneSig, TypeSig, element};
use il::tables::*;
use il::{Assembly, Error, Metadata, Result};

const LIBRARIES: &str = "/usr/lib/mono";

/// Every file under the libraries' folder, each once however many links lead to it.
fn library_files() -> Vec<PathBuf> {
    let mut files = BTreeSet::new();
    let mut folders = vec![PathBuf::from(LIBRARIES)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "dll" || extension == "exe") {
                files.extend(path.canonicalize().ok());
            }
        }
    }
    files.into_iter().collect()
}

/// Underlying types of all enums of all libraries, by full name.
#[derive(Default)]
struct Enums(HashMap<String, u8>);

impl Enums {
    fn add_all_of(&mut self, assembly: &Assembly) {
        let metadata = assembly.metadata();
        for type_def in metadata.row_numbers(TableId::TypeDef) {
            for field in metadata.fields_of(type_def) {
                let row: FieldRow = metadata.row(field).unwrap();
                if metadata.string(row.name) == "value__" {
                    let code = match TypeSig::parse_field(metadata.blob(row.signature).unwrap()).unwrap() {
                        TypeSig::Boolean => element::BOOLEAN,
                        TypeSig::Char => element::CHAR,
                        TypeSig::I1 => element::I1,
                        TypeSig::U1 => element::U1,
                        TypeSig::I2 => element::I2,
                        TypeSig::U2 => element::U2,
                        TypeSig::I4 => element::I4,
                        TypeSig::U4 => element::U4,
                        TypeSig::I8 => element::I8,
                        TypeSig::U8 => element::U8,
                        other => panic!("enum over {other:?}"),
                    };
                    self.0.insert(assembly.type_full_name(type_def), code);
                }
            }
        }
    }
}

/// The enums as one assembly's attributes name them.
struct EnumsOf<'a>(&'a Enums, &'a Assembly);

impl EnumTypes for EnumsOf<'_> {
    fn underlying_type_of(&self, enum_type: il::Token) -> Result<u8> {
        let name = match enum_type.table() {
            Some(TableId::TypeDef) => self.1.type_full_name(enum_type.row()),
            _ => self.1.type_ref_full_name(enum_type.row()),
        };
        self.underlying_type_by_name(&name)
    }

    fn underlying_type_by_name(&self, enum_type: &str) -> Result<u8> {
        let name = enum_type.split(',').next().unwrap_or_default();
        let code = self.0.0.get(name).copied();
        code.ok_or_else(|| Error::type_load("unknown enum").with_name(name))
    }
}

#[derive(Debug, Default)]
struct Counts {
    rows: usize,
    strings: usize,
    signatures: usize,
    bodies: usize,
    clauses: usize,
    instructions: usize,
    attributes: usize,
    resources: usize,
    duplicate_types: usize,
}

/// The signature of an attribute's constructor.
fn constructor(metadata: &Metadata, token: il::Token) -> Result<MethodSig> {
    let signature = match token.table() {
        Some(TableId::MethodDef) => metadata.row_of::<MethodDefRow>(token)?.signature,
        _ => metadata.row_of::<MemberRefRow>(token)?.signature,
    };
    MethodSig::parse(metadata.blob(signature)?)
}

/// Reads each row of each table by its schema: strings must be text, blobs and GUIDs be there, tokens name rows.
fn walk_cells(metadata: &Metadata, counts: &mut Counts) -> Result<()> {
    macro_rules! tables {
        ($($row:ident { $($text:ident),* | $($blob:ident),* | $($token:ident),* })*) => {$(
            for (number, row) in metadata.rows::<$row>() {
                let at = |error: Error| error.with_token(il::Token::new($row::TABLE, number));
                let texts: &[StringIndex] = &[$(row.$text),*];
                let blobs: &[BlobIndex] = &[$(row.$blob),*];
                let targets: &[il::Token] = &[$(row.$token),*];
                for text in texts {
                    metadata.checked_string(*text).map_err(at)?;
                }
                for blob in blobs {
                    metadata.blob(*blob).map_err(at)?;
                }
                if let Some(target) = targets.iter().find(|target| **target != il::Token::NULL && !metadata.has_row(**target)) {
                    return Err(at(Error::bad_image(format!("dangling token {target}"))));
                }
                counts.rows += 1;
                counts.strings += texts.len();
                let _: $row = row;
            }
        )*};
    }
    tables! {
        ModuleRow { name | | }
        TypeRefRow { name, namespace | | resolution_scope }
        TypeDefRow { name, namespace | | extends }
        FieldRow { name | signature | }
        MethodDefRow { name | signature | }
        ParamRow { name | | }
        InterfaceImplRow { | | interface }
        MemberRefRow { name | signature | class }
        ConstantRow { | value | parent }
        CustomAttributeRow { | value | parent, constructor }
        FieldMarshalRow { | native_type | parent }
        DeclSecurityRow { | permission_set | parent }
        ClassLayoutRow { | | }
        FieldLayoutRow { | | }
        StandAloneSigRow { | signature | }
        EventMapRow { | | }
        EventRow { name | | event_type }
        PropertyMapRow { | | }
        PropertyRow { name | signature | }
        MethodSemanticsRow { | | association }
        MethodImplRow { | | body, declaration }
        ModuleRefRow { name | | }
        TypeSpecRow { | signature | }
        ImplMapRow { import_name | | member }
        FieldRvaRow { | | }
        AssemblyRow { name, culture | public_key | }
        AssemblyRefRow { name, culture | public_key_or_token, hash | }
        FileRow { name | hash | }
        ExportedTypeRow { name, namespace | | implementation }
        ManifestResourceRow { name | | implementation }
        NestedClassRow { | | }
        GenericParamRow { name | | owner }
        MethodSpecRow { | instantiation | method }
        GenericParamConstraintRow { | | constraint }
    }
    Ok(())
}

fn walk_signatures(metadata: &Metadata, counts: &mut Counts) -> Result<()> {
    let at = |table, row| move |error: Error| error.with_token(il::Token::new(table, row));
    for (number, row) in metadata.rows::<FieldRow>() {
        TypeSig::parse_field(metadata.blob(row.signature)?).map_err(at(TableId::Field, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<MethodDefRow>() {
        MethodSig::parse(metadata.blob(row.signature)?).map_err(at(TableId::MethodDef, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<MemberRefRow>() {
        MemberSig::parse(metadata.blob(row.signature)?).map_err(at(TableId::MemberRef, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<StandAloneSigRow>() {
        StandAloneSig::parse(metadata.blob(row.signature)?).map_err(at(TableId::StandAloneSig, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<PropertyRow>() {
        PropertySig::parse(metadata.blob(row.signature)?).map_err(at(TableId::Property, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<TypeSpecRow>() {
        TypeSig::parse(metadata.blob(row.signature)?).map_err(at(TableId::TypeSpec, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<MethodSpecRow>() {
        TypeSig::parse_method_spec(metadata.blob(row.instantiation)?).map_err(at(TableId::MethodSpec, number))?;
        counts.signatures += 1;
    }
    for (number, row) in metadata.rows::<FieldMarshalRow>() {
        MarshalDescriptor::parse(metadata.blob(row.native_type)?).map_err(at(TableId::FieldMarshal, number))?;
        counts.signatures += 1;
    }
    Ok(())
}

fn walk_bodies(metadata: &Metadata, counts: &mut Counts) -> Result<()> {
    for method in metadata.row_numbers(TableId::MethodDef) {
        let token = il::Token::new(TableId::MethodDef, method);
        let Some(body) = metadata.method_body(method)? else { continue };
        counts.bodies += 1;
        counts.clauses += body.clauses.len();
        let mut starts = BTreeSet::new();
        let mut targets = Vec::new();
        for instruction in body.instructions() {
            let instruction = instruction.map_err(|error| error.with_token(token))?;
            counts.instructions += 1;
            starts.insert(instruction.offset);
            match instruction.operand {
                Operand::Token(operand) if !metadata.has_row(operand) => {
                    return Err(Error::invalid_program(format!("dangling token {operand}")).with_token(token));
                }
                Operand::String(offset) => {
                    metadata.user_string(offset)?;
                }
                Operand::Target(target) => targets.push(target),
                Operand::Switch(switch) => targets.extend(switch.iter()),
                _ => {}
            }
        }
        for clause in &body.clauses {
            targets.extend([clause.try_start, clause.handler_start]);
            match clause.kind {
                ClauseKind::Filter(offset) => targets.push(offset),
                ClauseKind::Catch(class) => assert!(metadata.has_row(class), "catch class {class} of {token}"),
                ClauseKind::Finally | ClauseKind::Fault => {}
            }
        }
        if let Some(target) = targets.iter().find(|target| !starts.contains(target)) {
            return Err(Error::invalid_program(format!("target {target:#x} is no instruction")).with_token(token));
        }
    }
    Ok(())
}

/// Each row must be found again from what it belongs to.
fn walk_lookups(assembly: &Assembly, counts: &mut Counts) {
    let metadata = assembly.metadata();
    let mut fields = 0;
    for type_def in metadata.row_numbers(TableId::TypeDef) {
        let row: TypeDefRow = metadata.row(type_def).unwrap();
        let name = metadata.string(row.name);
        let found = match metadata.enclosing_type(type_def) {
            Some(enclosing) => assembly.find_nested_type(enclosing, name),
            None => assembly.find_type(metadata.string(row.namespace), name),
        };
        let found = found.expect("a type must be found by its name");
        if found != type_def {
            // Obfuscators and `ilasm` may define two types of one name; the first is found.
            assert!(found < type_def);
            counts.duplicate_types += 1;
        }
        for field in metadata.fields_of(type_def) {
            assert_eq!(metadata.owner_of_field(field), type_def);
            fields += 1;
        }
        for method in metadata.methods_of(type_def) {
            assert_eq!(metadata.owner_of_method(method), type_def);
            for param in metadata.params_of(method) {
                assert_eq!(metadata.owner_of_param(param), method);
            }
        }
        metadata.properties_of(type_def).for_each(|property| assert_eq!(metadata.owner_of_property(property), type_def));
        metadata.events_of(type_def).for_each(|event| assert_eq!(metadata.owner_of_event(event), type_def));
    }
    assert_eq!(fields, metadata.row_count(TableId::Field));
    for (_, row) in metadata.rows::<ClassLayoutRow>() {
        assert!(metadata.class_layout(row.parent).is_some());
    }
    for (_, row) in metadata.rows::<FieldLayoutRow>() {
        assert_eq!(metadata.field_offset(row.field), Some(row.offset));
    }
    for (_, row) in metadata.rows::<FieldRvaRow>() {
        assert_eq!(metadata.field_rva(row.field), Some(row.rva));
    }
    for (_, row) in metadata.rows::<ConstantRow>() {
        assert!(metadata.constant(row.parent).is_some());
    }
    for (_, row) in metadata.rows::<ImplMapRow>() {
        assert!(metadata.impl_map(row.member).is_some());
    }
    for (_, row) in metadata.rows::<FieldMarshalRow>() {
        assert!(metadata.field_marshal(row.parent).is_some());
    }
    for (_, row) in metadata.rows::<NestedClassRow>() {
        assert_eq!(metadata.enclosing_type(row.nested), Some(row.enclosing));
    }
    for (number, row) in metadata.rows::<CustomAttributeRow>() {
        assert!(metadata.custom_attributes_of(row.parent).any(|found| found == number));
    }
    for (_, row) in metadata.rows::<InterfaceImplRow>() {
        assert!(metadata.interfaces_of(row.class).any(|interface| interface == row.interface));
    }
    for (number, row) in metadata.rows::<GenericParamRow>() {
        assert!(metadata.generic_params_of(row.owner).any(|(found, _)| found == number));
    }
    for (_, row) in metadata.rows::<MethodSemanticsRow>() {
        assert!(metadata.method_semantics_of(row.association).any(|found| found.method == row.method));
    }
    for (number, row) in metadata.rows::<ExportedTypeRow>() {
        let (namespace, name) = (metadata.string(row.namespace), metadata.string(row.name));
        let found = match assembly.export_target(number).unwrap() {
            il::assembly::ExportTarget::Nested(enclosing) => assembly.find_nested_exported_type(enclosing, name),
            _ => assembly.find_exported_type(namespace, name),
        };
        assert!(found.is_some(), "{namespace}.{name}");
    }
}

fn walk(assembly: &Assembly, enums: &Enums, counts: &mut Counts) -> Result<()> {
    let metadata = assembly.metadata();
    walk_cells(metadata, counts)?;
    walk_signatures(metadata, counts)?;
    walk_bodies(metadata, counts)?;
    walk_lookups(assembly, counts);
    for (number, row) in metadata.rows::<CustomAttributeRow>() {
        let at = |error: Error| error.with_token(il::Token::new(TableId::CustomAttribute, number));
        let constructor = constructor(metadata, row.constructor).map_err(at)?;
        AttributeArguments::parse(metadata.blob(row.value)?, &constructor, &EnumsOf(enums, assembly)).map_err(at)?;
        counts.attributes += 1;
    }
    for (_, reference) in assembly.references() {
        reference?;
    }
    for (row, _) in assembly.resources() {
        assembly.resource(row)?;
        counts.resources += 1;
    }
    Ok(())
}

#[test]
fn everything_in_the_class_libraries_is_clean() {
    let mut assemblies = Vec::<Arc<Assembly>>::new();
    let mut enums = Enums::default();
    for path in library_files() {
        match Assembly::open(&path) {
            Ok(assembly) => {
                enums.add_all_of(&assembly);
                assemblies.push(assembly);
            }
            // Native libraries lie among the assemblies.
            Err(error) => assert!(error.message().contains("no CLI header") || error.message() == "not a PE file", "{error}"),
        }
    }
    let mut counts = Counts::default();
    let mut errors = Vec::new();
    for assembly in &assemblies {
        errors.extend(walk(assembly, &enums, &mut counts).map_err(|error| error.with_file(assembly.file())).err());
    }
    println!("{} assemblies, {counts:?}", assemblies.len());
    assert!(errors.is_empty(), "{} errors: {errors:#?}", errors.len());
}

/// Reads as much as `walk` does and expects nothing but an end.
fn read_everything(assembly: &Assembly) {
    let mut counts = Counts::default();
    let metadata = assembly.metadata();
    let _ = walk_cells(metadata, &mut counts);
    let _ = walk_signatures(metadata, &mut counts);
    for method in metadata.row_numbers(TableId::MethodDef) {
        if let Ok(Some(body)) = metadata.method_body(method) {
            body.instructions().for_each(drop);
        }
        metadata.params_of(method).for_each(drop);
        metadata.owner_of_method(method);
    }
    for type_def in metadata.row_numbers(TableId::TypeDef) {
        assembly.type_full_name(type_def);
        metadata.fields_of(type_def).take(100).for_each(drop);
        metadata.interfaces_of(type_def).for_each(drop);
        metadata.properties_of(type_def).take(100).for_each(drop);
    }
    for (_, row) in metadata.rows::<CustomAttributeRow>() {
        if let (Ok(constructor), Ok(value)) = (constructor(metadata, row.constructor), metadata.blob(row.value)) {
            let _ = AttributeArguments::parse(value, &constructor, &EnumsOf(&Enums::default(), assembly));
        }
    }
    let _ = assembly.find_type("System", "Object");
    let _ = assembly.find_exported_type("System", "Object");
    for (row, _) in assembly.resources() {
        let _ = assembly.resource(row);
    }
    assembly.image().debug_entries().for_each(|entry| drop(entry.code_view()));
}

/// The smallest library that has method bodies, attributes and a debug entry of its own to break.
fn small_library() -> Option<Vec<u8>> {
    std::fs::read(Path::new(LIBRARIES).join("4.5/Mono.Simd.dll"))
        .or_else(|_| std::fs::read(Path::new(LIBRARIES).join("4.5/Accessibility.dll")))
        .ok()
}

#[test]
fn broken_files_never_panic() {
    let Some(original) = small_library() else { return };
    let try_read = |bytes: Vec<u8>| {
        if let Ok(assembly) = Assembly::from_bytes(bytes.into(), "broken.dll") {
            read_everything(&assembly);
        }
    };
    for step in 0..200 {
        try_read(original[..original.len() * step / 200].to_vec());
    }
    // A linear congruential generator is random enough here and always the same.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |bound: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % bound
    };
    let metadata_start = original.windows(4).position(|bytes| bytes == b"BSJB").unwrap_or(0);
    for round in 0..600 {
        let mut bytes = original.clone();
        for _ in 0..1 + random(16) {
            // A third anywhere, a third in the headers, a third in the tables.
            let position = match round % 3 {
                0 => random(bytes.len()),
                1 => random(1024),
                _ => metadata_start + random(2048),
            };
            if let Some(byte) = bytes.get_mut(position) {
                *byte = random(256) as u8;
            }
        }
        try_read(bytes);
    }
}

//! An assembly as a whole: identity, references, lookup of types and resources by name.
//!
//! Opening reads headers only. The index of type names is built at the first lookup.

mod display_name;
mod name;
mod sha1;
mod type_index;

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use crate::cursor::Cursor;
use crate::error::{Error, Result};
use crate::heaps::StringIndex;
use crate::pe::{Image, cli_flags};
use crate::tables::{
    AssemblyRefRow, AssemblyRow, CustomAttributeRow, ExportedTypeRow, FileRow, ManifestResourceRow, MemberRefRow, Metadata,
    ModuleRow, NestedClassRow, TableId, Token, TypeDefRow, TypeRefRow,
};

pub use display_name::{DisplayName, ProcessorArchitecture};
pub use name::{AssemblyName, Version};
pub use sha1::{public_key_token, sha1};
use type_index::TypeIndex;

/// A loaded file: an assembly, or a module of one. Immutable and shared between threads.
#[derive(Debug)]
pub struct Assembly {
    metadata: Metadata,
    path: Option<PathBuf>,
    name: AssemblyName,
    mvid: [u8; 16],
    types: OnceLock<TypeIndex>,
    exported_types: OnceLock<TypeIndex>,
}

/// Where a manifest resource is.
#[derive(Clone, Copy, Debug)]
pub enum Resource<'a> {
    /// In this file.
    Embedded(&'a [u8]),
    /// In another file of the assembly, by name.
    File(&'a str),
    /// In another assembly: row in AssemblyRef.
    Assembly(u32),
}

/// Where an exported type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTarget {
    /// Forwarded to another assembly: row in AssemblyRef.
    Assembly(u32),
    /// In another module of this assembly: row in File.
    File(u32),
    /// Nested in another exported type: row in ExportedType.
    Nested(u32),
}

/// The column of TypeDef that holds the name (ECMA-335 II.22.37).
const TYPE_NAME_COLUMN: usize = 1;

/// Deepest nesting of types; a cycle in a broken file ends here.
const NESTING_LIMIT: u32 = 64;

impl Assembly {
    /// Maps a file.
    pub fn open(path: &Path) -> Result<Arc<Assembly>> {
        Assembly::new(Image::open(path)?, Some(path.to_owned()))
    }

    /// Takes an image in memory; `name` stands for the file in messages.
    pub fn from_bytes(bytes: Arc<[u8]>, name: &str) -> Result<Arc<Assembly>> {
        Assembly::new(Image::from_bytes(bytes, name)?, None)
    }

    fn new(image: Image, path: Option<PathBuf>) -> Result<Arc<Assembly>> {
        let metadata = Metadata::new(image)?;
        let module: ModuleRow = metadata.row(1)?;
        let mvid = metadata.guid(module.mvid)?;
        let name = if metadata.row_count(TableId::Assembly) == 0 {
            let file_name = metadata.string(module.name);
            AssemblyName::simple(file_name.rsplit_once('.').map_or(file_name, |(stem, _)| stem))
        } else {
            let row: AssemblyRow = metadata.row(1)?;
            AssemblyName {
                name: metadata.checked_string(row.name)?.into(),
                version: Version { major: row.major, minor: row.minor, build: row.build, revision: row.revision },
                culture: metadata.checked_string(row.culture)?.into(),
                flags: row.flags,
                public_key: metadata.blob(row.public_key)?.into(),
                public_key_token: None,
            }
        };
        Ok(Arc::new(Assembly { metadata, path, name, mvid, types: OnceLock::new(), exported_types: OnceLock::new() }))
    }

    /// Tables and heaps.
    #[inline]
    pub fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// The PE file.
    pub fn image(&self) -> &Image {
        self.metadata.image()
    }

    /// The path it was opened by; `None` if it came as bytes.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The path, or the name given with the bytes, for messages.
    pub fn file(&self) -> &Arc<str> {
        self.metadata.file()
    }

    /// Its full name. A module without a manifest is named after its file.
    pub fn name(&self) -> &AssemblyName {
        &self.name
    }

    /// Whether it has a manifest; a mere module has none.
    pub fn has_manifest(&self) -> bool {
        self.metadata.row_count(TableId::Assembly) != 0
    }

    /// Name of the main module, usually the file's name.
    pub fn module_name(&self) -> &str {
        self.metadata.row::<ModuleRow>(1).map_or("", |row| self.metadata.string(row.name))
    }

    /// Identity of this build.
    pub fn mvid(&self) -> [u8; 16] {
        self.mvid
    }

    /// MethodDef of the entry point, if it has one (in this file).
    pub fn entry_point(&self) -> Option<u32> {
        self.image().cli_header().entry_point.row_in(TableId::MethodDef)
    }

    /// What its file says about the processor that it needs, as Mono reads it.
    pub fn architecture(&self) -> ProcessorArchitecture {
        const MACHINE_I386: u16 = 0x14c;
        const MACHINE_IA64: u16 = 0x200;
        const MACHINE_AMD64: u16 = 0x8664;
        const MACHINE_ARM: u16 = 0x1c4;
        /// `NoPlatform`: an assembly to compile against.
        const NO_PLATFORM: u32 = 0x70;
        let flags = self.image().cli_header().flags;
        match self.image().machine() {
            MACHINE_I386 if flags & (cli_flags::REQUIRES_32_BIT | cli_flags::PREFERS_32_BIT) != 0 => ProcessorArchitecture::X86,
            MACHINE_I386 if flags & NO_PLATFORM == NO_PLATFORM => ProcessorArchitecture::None,
            MACHINE_I386 => ProcessorArchitecture::Msil,
            MACHINE_IA64 => ProcessorArchitecture::Ia64,
            MACHINE_AMD64 => ProcessorArchitecture::Amd64,
            MACHINE_ARM => ProcessorArchitecture::Arm,
            _ => ProcessorArchitecture::None,
        }
    }

    /// The full name of a row in AssemblyRef.
    pub fn reference(&self, row: u32) -> Result<AssemblyName> {
        /// `AssemblyFlags.PublicKey`: the whole key is given.
        const PUBLIC_KEY: u32 = 1;
        let reference: AssemblyRefRow = self.metadata.row(row)?;
        let key = self.metadata.blob(reference.public_key_or_token)?;
        let token = if reference.flags & PUBLIC_KEY == 0 { <[u8; 8]>::try_from(key).ok() } else { None };
        Ok(AssemblyName {
            name: self.metadata.checked_string(reference.name)?.into(),
            version: Version {
                major: reference.major,
                minor: reference.minor,
                build: reference.build,
                revision: reference.revision,
            },
            culture: self.metadata.checked_string(reference.culture)?.into(),
            flags: reference.flags,
            public_key: if reference.flags & PUBLIC_KEY != 0 { key.into() } else { Box::default() },
            public_key_token: token,
        })
    }

    /// All references with their rows in AssemblyRef.
    pub fn references(&self) -> impl Iterator<Item = (u32, Result<AssemblyName>)> {
        self.metadata.row_numbers(TableId::AssemblyRef).map(|row| (row, self.reference(row)))
    }

    /// Row in TypeDef of a type that is not nested.
    pub fn find_type(&self, namespace: &str, name: &str) -> Option<u32> {
        self.find_type_in(0, namespace, name)
    }

    /// Row in TypeDef of a type within another.
    pub fn find_nested_type(&self, enclosing: u32, name: &str) -> Option<u32> {
        if enclosing == 0 { None } else { self.find_type_in(enclosing, "", name) }
    }

    /// Row in TypeDef by the name that reflection writes, `Namespace.Outer+Inner`, without escapes and type arguments.
    pub fn find_type_by_full_name(&self, full_name: &str) -> Option<u32> {
        let mut parts = full_name.split('+');
        let outer = parts.next()?;
        let (namespace, name) = outer.rsplit_once('.').unwrap_or(("", outer));
        parts.try_fold(self.find_type(namespace, name)?, |enclosing, part| self.find_nested_type(enclosing, part))
    }

    /// Row in ExportedType of a type that is not nested.
    pub fn find_exported_type(&self, namespace: &str, name: &str) -> Option<u32> {
        self.find_exported_type_in(0, namespace, name)
    }

    /// Row in ExportedType of a type within another.
    pub fn find_nested_exported_type(&self, enclosing: u32, name: &str) -> Option<u32> {
        if enclosing == 0 { None } else { self.find_exported_type_in(enclosing, "", name) }
    }

    /// Where a row in ExportedType leads.
    pub fn export_target(&self, exported_type: u32) -> Result<ExportTarget> {
        let row: ExportedTypeRow = self.metadata.row(exported_type)?;
        let target = row.implementation;
        match target.table() {
            Some(TableId::AssemblyRef) => Ok(ExportTarget::Assembly(target.row())),
            Some(TableId::File) => Ok(ExportTarget::File(target.row())),
            Some(TableId::ExportedType) => Ok(ExportTarget::Nested(target.row())),
            _ => Err(Error::bad_image("exported type leads nowhere")
                .with_file(self.file())
                .with_token(Token::new(TableId::ExportedType, exported_type))),
        }
    }

    /// A type's name as reflection writes it: `Namespace.Outer+Inner`. Unescaped; for messages and lookups.
    pub fn type_full_name(&self, type_def: u32) -> String {
        let mut names = Vec::new();
        let mut row = type_def;
        for _ in 0..NESTING_LIMIT {
            let Ok(definition) = self.metadata.row::<TypeDefRow>(row) else { break };
            names.push(self.qualified(definition.namespace, definition.name));
            match self.metadata.enclosing_type(row) {
                Some(enclosing) => row = enclosing,
                None => break,
            }
        }
        join_nested(names)
    }

    /// The same of a row in TypeRef.
    pub fn type_ref_full_name(&self, type_ref: u32) -> String {
        let mut names = Vec::new();
        let mut row = type_ref;
        for _ in 0..NESTING_LIMIT {
            let Ok(reference) = self.metadata.row::<TypeRefRow>(row) else { break };
            names.push(self.qualified(reference.namespace, reference.name));
            match reference.resolution_scope.row_in(TableId::TypeRef) {
                Some(enclosing) => row = enclosing,
                None => break,
            }
        }
        join_nested(names)
    }

    fn qualified(&self, namespace: StringIndex, name: StringIndex) -> String {
        match (self.metadata.string(namespace), self.metadata.string(name)) {
            ("", name) => name.to_owned(),
            (namespace, name) => format!("{namespace}.{name}"),
        }
    }

    /// Row in CustomAttribute of the first attribute of a type on something. The attribute's type is known by name only
    /// (that of a type which is not nested), so that no other assembly need be loaded.
    pub fn find_custom_attribute(&self, parent: Token, namespace: &str, name: &str) -> Option<u32> {
        self.custom_attributes(parent, namespace, name).next()
    }

    /// Rows in CustomAttribute of all attributes of a type on something, as [`Assembly::find_custom_attribute`] finds the first.
    pub fn custom_attributes(&self, parent: Token, namespace: &str, name: &str) -> impl Iterator<Item = u32> {
        self.metadata.custom_attributes_of(parent).filter(move |row| {
            let attribute = self.metadata.row::<CustomAttributeRow>(*row);
            attribute.is_ok_and(|attribute| self.is_declared_by(attribute.constructor, namespace, name))
        })
    }

    /// Whether a MethodDef or MemberRef is a member of the type with this name.
    fn is_declared_by(&self, method: Token, namespace: &str, name: &str) -> bool {
        let class = match method.table() {
            Some(TableId::MethodDef) => Token::new(TableId::TypeDef, self.metadata.owner_of_method(method.row())),
            _ => self.metadata.row_of::<MemberRefRow>(method).map_or(Token::NULL, |member| member.class),
        };
        let names = match class.table() {
            Some(TableId::TypeDef) => self.metadata.row_of::<TypeDefRow>(class).map(|row| (row.namespace, row.name)),
            _ => self.metadata.row_of::<TypeRefRow>(class).map(|row| (row.namespace, row.name)),
        };
        names.is_ok_and(|names| self.metadata.string_is(names.0, namespace) && self.metadata.string_is(names.1, name))
    }

    /// Names of all manifest resources, with their rows in ManifestResource.
    pub fn resources(&self) -> impl Iterator<Item = (u32, &str)> {
        self.metadata.rows::<ManifestResourceRow>().map(|(row, resource)| (row, self.metadata.string(resource.name)))
    }

    /// Row in ManifestResource of a name.
    pub fn find_resource(&self, name: &str) -> Option<u32> {
        self.resources().find(|(_, candidate)| *candidate == name).map(|(row, _)| row)
    }

    /// The contents or place of a manifest resource.
    pub fn resource(&self, row: u32) -> Result<Resource<'_>> {
        let resource: ManifestResourceRow = self.metadata.row(row)?;
        let token = Token::new(TableId::ManifestResource, row);
        match (resource.implementation.is_null(), resource.implementation.table()) {
            (true, _) => {
                let bytes = self.image().resources().map_err(|error| error.with_token(token))?;
                let mut cursor = Cursor::at(bytes, resource.offset as usize);
                let contents = cursor.u32().and_then(|length| cursor.take(length as usize));
                contents.map(Resource::Embedded).map_err(|error| self.metadata.locate(error).with_token(token))
            }
            (false, Some(TableId::File)) => {
                let file: FileRow = self.metadata.row(resource.implementation.row())?;
                Ok(Resource::File(self.metadata.string(file.name)))
            }
            (false, Some(TableId::AssemblyRef)) => Ok(Resource::Assembly(resource.implementation.row())),
            _ => Err(Error::bad_image("resource leads nowhere").with_file(self.file()).with_token(token)),
        }
    }

    fn type_index(&self) -> &TypeIndex {
        self.types.get_or_init(|| {
            let count = self.metadata.row_count(TableId::TypeDef);
            // One pass over the nested types is cheaper than a search for each type.
            let mut enclosing = vec![0; count as usize + 1];
            for (_, row) in self.metadata.rows::<NestedClassRow>() {
                if let Some(slot) = enclosing.get_mut(row.nested as usize) {
                    *slot = row.enclosing;
                }
            }
            TypeIndex::build(count, |row| {
                let name = self.metadata.raw_cell(TableId::TypeDef, row, TYPE_NAME_COLUMN).unwrap_or(0);
                (enclosing[row as usize], self.metadata.string_bytes(StringIndex(name)))
            })
        })
    }

    fn exported_type_index(&self) -> &TypeIndex {
        self.exported_types.get_or_init(|| {
            TypeIndex::build(self.metadata.row_count(TableId::ExportedType), |row| {
                let Ok(exported) = self.metadata.row::<ExportedTypeRow>(row) else { return (0, b"") };
                let enclosing = exported.implementation.row_in(TableId::ExportedType).unwrap_or(0);
                (enclosing, self.metadata.string_bytes(exported.name))
            })
        })
    }

    /// Looks a type up; the namespace of a nested type is ignored, as it is by Mono.
    fn find_type_in(&self, enclosing: u32, namespace: &str, name: &str) -> Option<u32> {
        self.type_index().find(enclosing, name, |row| {
            self.metadata.row::<TypeDefRow>(row).is_ok_and(|definition| {
                self.metadata.string_is(definition.name, name)
                    && self.metadata.enclosing_type(row).unwrap_or(0) == enclosing
                    && (enclosing != 0 || self.metadata.string_is(definition.namespace, namespace))
            })
        })
    }

    fn find_exported_type_in(&self, enclosing: u32, namespace: &str, name: &str) -> Option<u32> {
        self.exported_type_index().find(enclosing, name, |row| {
            self.metadata.row::<ExportedTypeRow>(row).is_ok_and(|exported| {
                self.metadata.string_is(exported.name, name)
                    && exported.implementation.row_in(TableId::ExportedType).unwrap_or(0) == enclosing
                    && (enclosing != 0 || self.metadata.string_is(exported.namespace, namespace))
            })
        })
    }
}

/// Joins names that were collected from the innermost type outwards.
fn join_nested(mut names: Vec<String>) -> String {
    names.reverse();
    names.join("+")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_library_by_name() {
        // Without installed class libraries there is nothing to look at.
        let Ok(assembly) = Assembly::open(Path::new("/usr/lib/mono/4.5/mscorlib.dll")) else { return };
        assert_eq!(assembly.name().to_string(), "mscorlib, Version=4.0.0.0, Culture=neutral, PublicKeyToken=b77a5c561934e089");
        let dictionary = assembly.find_type("System.Collections.Generic", "Dictionary`2").unwrap();
        let enumerator = assembly.find_nested_type(dictionary, "Enumerator").unwrap();
        let name = "System.Collections.Generic.Dictionary`2+Enumerator";
        assert_eq!(assembly.type_full_name(enumerator), name);
        assert_eq!(assembly.find_type_by_full_name(name), Some(enumerator));
        assert_eq!(assembly.find_type("System", "Dictionary`2"), None);
        let flags = assembly.find_type("System", "AttributeTargets").unwrap();
        let parent = Token::new(TableId::TypeDef, flags);
        assert!(assembly.find_custom_attribute(parent, "System", "FlagsAttribute").is_some());
        assert!(assembly.find_custom_attribute(parent, "System", "Flags").is_none());
    }
}

//! The rows of the metadata tables as plain structs, one per table (ECMA-335 II.22).

use super::{RowReader, TableId, Token};
use crate::heaps::{BlobIndex, GuidIndex, StringIndex};

/// A row type: its table, and how it is read.
pub trait Row: Copy {
    /// The table these rows stand in.
    const TABLE: TableId;
    /// Reads all columns of one row.
    fn read(reader: &RowReader<'_>) -> Self;
}

/// Declares row structs with their columns in the order of the schema.
macro_rules! rows {
    ($($(#[$doc:meta])* $name:ident = $table:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty = $column:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind,)*
        }

        impl Row for $name {
            const TABLE: TableId = TableId::$table;
            #[inline]
            fn read(reader: &RowReader<'_>) -> Self {
                $name { $($field: reader.cell::<$kind>($column),)* }
            }
        }
    )*};
}

rows! {
    /// The module itself (II.22.30).
    ModuleRow = Module {
        /// Name of the file.
        name: StringIndex = 1,
        /// Identity of this build.
        mvid: GuidIndex = 2,
    }
    /// A reference to a type elsewhere (II.22.38).
    TypeRefRow = TypeRef {
        /// Module, ModuleRef, AssemblyRef or, of a nested type, the enclosing TypeRef; null: look into ExportedType.
        resolution_scope: Token = 0,
        /// Name without namespace.
        name: StringIndex = 1,
        /// Namespace, empty of a nested type.
        namespace: StringIndex = 2,
    }
    /// A type (II.22.37).
    TypeDefRow = TypeDef {
        /// `TypeAttributes` (II.23.1.15).
        flags: u32 = 0,
        /// Name without namespace.
        name: StringIndex = 1,
        /// Namespace, empty of a nested type.
        namespace: StringIndex = 2,
        /// TypeDef, TypeRef or TypeSpec of the base type; null for none.
        extends: Token = 3,
        /// First row of its fields; see [`crate::Metadata::fields_of`].
        field_list: u32 = 4,
        /// First row of its methods; see [`crate::Metadata::methods_of`].
        method_list: u32 = 5,
    }
    /// Order of fields in an uncompressed stream.
    FieldPtrRow = FieldPtr {
        /// Row in Field.
        field: u32 = 0,
    }
    /// A field (II.22.15).
    FieldRow = Field {
        /// `FieldAttributes` (II.23.1.5).
        flags: u16 = 0,
        /// Its name.
        name: StringIndex = 1,
        /// A field signature.
        signature: BlobIndex = 2,
    }
    /// Order of methods in an uncompressed stream.
    MethodPtrRow = MethodPtr {
        /// Row in MethodDef.
        method: u32 = 0,
    }
    /// A method (II.22.26).
    MethodDefRow = MethodDef {
        /// Address of the body, 0 for none.
        rva: u32 = 0,
        /// `MethodImplAttributes` (II.23.1.11).
        impl_flags: u16 = 1,
        /// `MethodAttributes` (II.23.1.10).
        flags: u16 = 2,
        /// Its name.
        name: StringIndex = 3,
        /// A method signature.
        signature: BlobIndex = 4,
        /// First row of its parameters; see [`crate::Metadata::params_of`].
        param_list: u32 = 5,
    }
    /// Order of parameters in an uncompressed stream.
    ParamPtrRow = ParamPtr {
        /// Row in Param.
        param: u32 = 0,
    }
    /// A parameter (II.22.33).
    ParamRow = Param {
        /// `ParamAttributes` (II.23.1.13).
        flags: u16 = 0,
        /// 0 for the return value, else the number of the parameter from 1.
        sequence: u16 = 1,
        /// Its name.
        name: StringIndex = 2,
    }
    /// A type implements an interface (II.22.23).
    InterfaceImplRow = InterfaceImpl {
        /// Row in TypeDef.
        class: u32 = 0,
        /// TypeDef, TypeRef or TypeSpec.
        interface: Token = 1,
    }
    /// A reference to a field or method (II.22.25).
    MemberRefRow = MemberRef {
        /// TypeDef, TypeRef, ModuleRef, MethodDef or TypeSpec.
        class: Token = 0,
        /// Its name.
        name: StringIndex = 1,
        /// A field or method signature.
        signature: BlobIndex = 2,
    }
    /// A constant or default value (II.22.9).
    ConstantRow = Constant {
        /// Element type in the low byte.
        kind: u16 = 0,
        /// Field, Param or Property.
        parent: Token = 1,
        /// The value's bytes.
        value: BlobIndex = 2,
    }
    /// A custom attribute (II.22.10).
    CustomAttributeRow = CustomAttribute {
        /// What it is on.
        parent: Token = 0,
        /// MethodDef or MemberRef of the constructor.
        constructor: Token = 1,
        /// The arguments; see [`crate::attributes`].
        value: BlobIndex = 2,
    }
    /// How a field or parameter is marshalled (II.22.17).
    FieldMarshalRow = FieldMarshal {
        /// Field or Param.
        parent: Token = 0,
        /// A marshalling descriptor.
        native_type: BlobIndex = 1,
    }
    /// Declarative security (II.22.11).
    DeclSecurityRow = DeclSecurity {
        /// The security action.
        action: u16 = 0,
        /// TypeDef, MethodDef or Assembly.
        parent: Token = 1,
        /// The permission set.
        permission_set: BlobIndex = 2,
    }
    /// Explicit size and packing of a type (II.22.8).
    ClassLayoutRow = ClassLayout {
        /// Packing in bytes, 0 for the default.
        packing_size: u16 = 0,
        /// Size in bytes, 0 for the default.
        class_size: u32 = 1,
        /// Row in TypeDef.
        parent: u32 = 2,
    }
    /// Explicit offset of a field (II.22.16).
    FieldLayoutRow = FieldLayout {
        /// Offset in bytes.
        offset: u32 = 0,
        /// Row in Field.
        field: u32 = 1,
    }
    /// A signature of local variables or for `calli` (II.22.36).
    StandAloneSigRow = StandAloneSig {
        /// The signature.
        signature: BlobIndex = 0,
    }
    /// Which events a type has (II.22.12).
    EventMapRow = EventMap {
        /// Row in TypeDef.
        parent: u32 = 0,
        /// First row of its events; see [`crate::Metadata::events_of`].
        event_list: u32 = 1,
    }
    /// Order of events in an uncompressed stream.
    EventPtrRow = EventPtr {
        /// Row in Event.
        event: u32 = 0,
    }
    /// An event (II.22.13).
    EventRow = Event {
        /// `EventAttributes` (II.23.1.4).
        flags: u16 = 0,
        /// Its name.
        name: StringIndex = 1,
        /// TypeDef, TypeRef or TypeSpec of the delegate.
        event_type: Token = 2,
    }
    /// Which properties a type has (II.22.35).
    PropertyMapRow = PropertyMap {
        /// Row in TypeDef.
        parent: u32 = 0,
        /// First row of its properties; see [`crate::Metadata::properties_of`].
        property_list: u32 = 1,
    }
    /// Order of properties in an uncompressed stream.
    PropertyPtrRow = PropertyPtr {
        /// Row in Property.
        property: u32 = 0,
    }
    /// A property (II.22.34).
    PropertyRow = Property {
        /// `PropertyAttributes` (II.23.1.14).
        flags: u16 = 0,
        /// Its name.
        name: StringIndex = 1,
        /// A property signature.
        signature: BlobIndex = 2,
    }
    /// Which methods a property or event consists of (II.22.28).
    MethodSemanticsRow = MethodSemantics {
        /// `MethodSemanticsAttributes` (II.23.1.12): setter 1, getter 2, other 4, add 8, remove 16, fire 32.
        semantics: u16 = 0,
        /// Row in MethodDef.
        method: u32 = 1,
        /// Event or Property.
        association: Token = 2,
    }
    /// An explicit override (II.22.27).
    MethodImplRow = MethodImpl {
        /// Row in TypeDef.
        class: u32 = 0,
        /// MethodDef or MemberRef of the implementation.
        body: Token = 1,
        /// MethodDef or MemberRef of what is overridden.
        declaration: Token = 2,
    }
    /// Another module, or a native library (II.22.31).
    ModuleRefRow = ModuleRef {
        /// Its name.
        name: StringIndex = 0,
    }
    /// A constructed type (II.22.39).
    TypeSpecRow = TypeSpec {
        /// A type signature.
        signature: BlobIndex = 0,
    }
    /// A method's native implementation (II.22.22).
    ImplMapRow = ImplMap {
        /// `PInvokeAttributes` (II.23.1.8).
        flags: u16 = 0,
        /// Field or MethodDef.
        member: Token = 1,
        /// Name of the native function.
        import_name: StringIndex = 2,
        /// Row in ModuleRef.
        import_scope: u32 = 3,
    }
    /// Initial data of a field (II.22.18).
    FieldRvaRow = FieldRva {
        /// Address of the data.
        rva: u32 = 0,
        /// Row in Field.
        field: u32 = 1,
    }
    /// Log of edit-and-continue.
    EncLogRow = EncLog {
        /// A token.
        token: u32 = 0,
        /// What was done.
        function: u32 = 1,
    }
    /// Map of edit-and-continue.
    EncMapRow = EncMap {
        /// A token.
        token: u32 = 0,
    }
    /// The assembly itself (II.22.2).
    AssemblyRow = Assembly {
        /// Hash algorithm of the files.
        hash_algorithm: u32 = 0,
        /// Version, first part.
        major: u16 = 1,
        /// Version, second part.
        minor: u16 = 2,
        /// Version, third part.
        build: u16 = 3,
        /// Version, fourth part.
        revision: u16 = 4,
        /// `AssemblyFlags` (II.23.1.2).
        flags: u32 = 5,
        /// The whole public key, or empty.
        public_key: BlobIndex = 6,
        /// Simple name.
        name: StringIndex = 7,
        /// Culture, empty for neutral.
        culture: StringIndex = 8,
    }
    /// Unused by every runtime (II.22.4).
    AssemblyProcessorRow = AssemblyProcessor {
        /// Processor.
        processor: u32 = 0,
    }
    /// Unused by every runtime (II.22.3).
    AssemblyOsRow = AssemblyOs {
        /// Platform.
        platform: u32 = 0,
        /// Version, first part.
        major: u32 = 1,
        /// Version, second part.
        minor: u32 = 2,
    }
    /// A reference to another assembly (II.22.5).
    AssemblyRefRow = AssemblyRef {
        /// Version, first part.
        major: u16 = 0,
        /// Version, second part.
        minor: u16 = 1,
        /// Version, third part.
        build: u16 = 2,
        /// Version, fourth part.
        revision: u16 = 3,
        /// `AssemblyFlags`; bit 0 says that the whole public key is given.
        flags: u32 = 4,
        /// Public key or its token.
        public_key_or_token: BlobIndex = 5,
        /// Simple name.
        name: StringIndex = 6,
        /// Culture, empty for neutral.
        culture: StringIndex = 7,
        /// Hash of the file, or empty.
        hash: BlobIndex = 8,
    }
    /// Unused by every runtime (II.22.7).
    AssemblyRefProcessorRow = AssemblyRefProcessor {
        /// Processor.
        processor: u32 = 0,
        /// Row in AssemblyRef.
        assembly_ref: u32 = 1,
    }
    /// Unused by every runtime (II.22.6).
    AssemblyRefOsRow = AssemblyRefOs {
        /// Platform.
        platform: u32 = 0,
        /// Version, first part.
        major: u32 = 1,
        /// Version, second part.
        minor: u32 = 2,
        /// Row in AssemblyRef.
        assembly_ref: u32 = 3,
    }
    /// Another file of the assembly (II.22.19).
    FileRow = File {
        /// 1 when it holds no metadata.
        flags: u32 = 0,
        /// Name of the file.
        name: StringIndex = 1,
        /// Its hash.
        hash: BlobIndex = 2,
    }
    /// A type of another module or a forwarder (II.22.14).
    ExportedTypeRow = ExportedType {
        /// `TypeAttributes`; 0x0020_0000 marks a forwarder.
        flags: u32 = 0,
        /// A hint at the TypeDef.
        type_def_id: u32 = 1,
        /// Name without namespace.
        name: StringIndex = 2,
        /// Namespace.
        namespace: StringIndex = 3,
        /// File, AssemblyRef (a forwarder) or, of a nested type, the enclosing ExportedType.
        implementation: Token = 4,
    }
    /// A resource (II.22.24).
    ManifestResourceRow = ManifestResource {
        /// Offset in the resources directory.
        offset: u32 = 0,
        /// 1 public, 2 private.
        flags: u32 = 1,
        /// Its name.
        name: StringIndex = 2,
        /// File or AssemblyRef; null: in this file.
        implementation: Token = 3,
    }
    /// A type within a type (II.22.32).
    NestedClassRow = NestedClass {
        /// Row in TypeDef of the inner type.
        nested: u32 = 0,
        /// Row in TypeDef of the outer type.
        enclosing: u32 = 1,
    }
    /// A generic parameter (II.22.20).
    GenericParamRow = GenericParam {
        /// Its position from 0.
        number: u16 = 0,
        /// `GenericParamAttributes` (II.23.1.7).
        flags: u16 = 1,
        /// TypeDef or MethodDef.
        owner: Token = 2,
        /// Its name.
        name: StringIndex = 3,
    }
    /// An instance of a generic method (II.22.29).
    MethodSpecRow = MethodSpec {
        /// MethodDef or MemberRef.
        method: Token = 0,
        /// The type arguments.
        instantiation: BlobIndex = 1,
    }
    /// A constraint of a generic parameter (II.22.21).
    GenericParamConstraintRow = GenericParamConstraint {
        /// Row in GenericParam.
        owner: u32 = 0,
        /// TypeDef, TypeRef or TypeSpec.
        constraint: Token = 1,
    }
}

//! The shape of the metadata tables as data (ECMA-335 II.22 and II.24.2.6).

/// A metadata table by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
#[allow(missing_docs)] // The names are those of ECMA-335 II.22.
pub enum TableId {
    Module = 0x00,
    TypeRef = 0x01,
    TypeDef = 0x02,
    FieldPtr = 0x03,
    Field = 0x04,
    MethodPtr = 0x05,
    MethodDef = 0x06,
    ParamPtr = 0x07,
    Param = 0x08,
    InterfaceImpl = 0x09,
    MemberRef = 0x0a,
    Constant = 0x0b,
    CustomAttribute = 0x0c,
    FieldMarshal = 0x0d,
    DeclSecurity = 0x0e,
    ClassLayout = 0x0f,
    FieldLayout = 0x10,
    StandAloneSig = 0x11,
    EventMap = 0x12,
    EventPtr = 0x13,
    Event = 0x14,
    PropertyMap = 0x15,
    PropertyPtr = 0x16,
    Property = 0x17,
    MethodSemantics = 0x18,
    MethodImpl = 0x19,
    ModuleRef = 0x1a,
    TypeSpec = 0x1b,
    ImplMap = 0x1c,
    FieldRva = 0x1d,
    EncLog = 0x1e,
    EncMap = 0x1f,
    Assembly = 0x20,
    AssemblyProcessor = 0x21,
    AssemblyOs = 0x22,
    AssemblyRef = 0x23,
    AssemblyRefProcessor = 0x24,
    AssemblyRefOs = 0x25,
    File = 0x26,
    ExportedType = 0x27,
    ManifestResource = 0x28,
    NestedClass = 0x29,
    GenericParam = 0x2a,
    MethodSpec = 0x2b,
    GenericParamConstraint = 0x2c,
}

/// Number of tables this crate knows.
pub const TABLE_COUNT: usize = 0x2d;

impl TableId {
    /// The table with this number.
    pub fn from_number(number: u8) -> Option<TableId> {
        ALL_TABLES.get(usize::from(number)).copied()
    }
}

/// All tables in the order of their numbers.
pub const ALL_TABLES: [TableId; TABLE_COUNT] = {
    use TableId::*;
    [
        Module,
        TypeRef,
        TypeDef,
        FieldPtr,
        Field,
        MethodPtr,
        MethodDef,
        ParamPtr,
        Param,
        InterfaceImpl,
        MemberRef,
        Constant,
        CustomAttribute,
        FieldMarshal,
        DeclSecurity,
        ClassLayout,
        FieldLayout,
        StandAloneSig,
        EventMap,
        EventPtr,
        Event,
        PropertyMap,
        PropertyPtr,
        Property,
        MethodSemantics,
        MethodImpl,
        ModuleRef,
        TypeSpec,
        ImplMap,
        FieldRva,
        EncLog,
        EncMap,
        Assembly,
        AssemblyProcessor,
        AssemblyOs,
        AssemblyRef,
        AssemblyRefProcessor,
        AssemblyRefOs,
        File,
        ExportedType,
        ManifestResource,
        NestedClass,
        GenericParam,
        MethodSpec,
        GenericParamConstraint,
    ]
};

/// The families of coded indices (ECMA-335 II.24.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum CodedIndex {
    TypeDefOrRef,
    HasConstant,
    HasCustomAttribute,
    HasFieldMarshal,
    HasDeclSecurity,
    MemberRefParent,
    HasSemantics,
    MethodDefOrRef,
    MemberForwarded,
    Implementation,
    CustomAttributeType,
    ResolutionScope,
    TypeOrMethodDef,
}

/// A tag of a coded index that no table uses.
const UNUSED: u8 = 0xff;

impl CodedIndex {
    /// Table numbers by tag; a tag without a table has a number outside the known ones.
    pub const fn tags(self) -> &'static [u8] {
        match self {
            CodedIndex::TypeDefOrRef => &[0x02, 0x01, 0x1b],
            CodedIndex::HasConstant => &[0x04, 0x08, 0x17],
            CodedIndex::HasCustomAttribute => &[
                0x06, 0x04, 0x01, 0x02, 0x08, 0x09, 0x0a, 0x00, 0x0e, 0x17, 0x14, 0x11, 0x1a, 0x1b, 0x20, 0x23, 0x26, 0x27, 0x28,
                0x2a, 0x2c, 0x2b,
            ],
            CodedIndex::HasFieldMarshal => &[0x04, 0x08],
            CodedIndex::HasDeclSecurity => &[0x02, 0x06, 0x20],
            CodedIndex::MemberRefParent => &[0x02, 0x01, 0x1a, 0x06, 0x1b],
            CodedIndex::HasSemantics => &[0x14, 0x17],
            CodedIndex::MethodDefOrRef => &[0x06, 0x0a],
            CodedIndex::MemberForwarded => &[0x04, 0x06],
            CodedIndex::Implementation => &[0x26, 0x23, 0x27],
            CodedIndex::CustomAttributeType => &[UNUSED, UNUSED, 0x06, 0x0a, UNUSED],
            CodedIndex::ResolutionScope => &[0x00, 0x1a, 0x23, 0x01],
            CodedIndex::TypeOrMethodDef => &[0x02, 0x06],
        }
    }

    /// Width of the tag in bits.
    pub const fn tag_bits(self) -> u32 {
        usize::BITS - (self.tags().len() - 1).leading_zeros()
    }
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A two-byte number.
    U16,
    /// A four-byte number.
    U32,
    /// An offset into `#Strings`.
    String,
    /// A one-based index into `#GUID`.
    Guid,
    /// An offset into `#Blob`.
    Blob,
    /// A one-based row of one table.
    Row(TableId),
    /// A row of one of several tables.
    Coded(CodedIndex),
}

/// The most columns a table has (Assembly and AssemblyRef).
pub const MAX_COLUMNS: usize = 9;

/// The columns of each table, by table number.
pub static SCHEMA: [&[ColumnKind]; TABLE_COUNT] = {
    use CodedIndex::*;
    use ColumnKind::*;
    use TableId as T;
    [
        /* Module */ &[U16, String, Guid, Guid, Guid],
        /* TypeRef */ &[Coded(ResolutionScope), String, String],
        /* TypeDef */ &[U32, String, String, Coded(TypeDefOrRef), Row(T::Field), Row(T::MethodDef)],
        /* FieldPtr */ &[Row(T::Field)],
        /* Field */ &[U16, String, Blob],
        /* MethodPtr */ &[Row(T::MethodDef)],
        /* MethodDef */ &[U32, U16, U16, String, Blob, Row(T::Param)],
        /* ParamPtr */ &[Row(T::Param)],
        /* Param */ &[U16, U16, String],
        /* InterfaceImpl */ &[Row(T::TypeDef), Coded(TypeDefOrRef)],
        /* MemberRef */ &[Coded(MemberRefParent), String, Blob],
        /* Constant */ &[U16, Coded(HasConstant), Blob],
        /* CustomAttribute */ &[Coded(HasCustomAttribute), Coded(CustomAttributeType), Blob],
        /* FieldMarshal */ &[Coded(HasFieldMarshal), Blob],
        /* DeclSecurity */ &[U16, Coded(HasDeclSecurity), Blob],
        /* ClassLayout */ &[U16, U32, Row(T::TypeDef)],
        /* FieldLayout */ &[U32, Row(T::Field)],
        /* StandAloneSig */ &[Blob],
        /* EventMap */ &[Row(T::TypeDef), Row(T::Event)],
        /* EventPtr */ &[Row(T::Event)],
        /* Event */ &[U16, String, Coded(TypeDefOrRef)],
        /* PropertyMap */ &[Row(T::TypeDef), Row(T::Property)],
        /* PropertyPtr */ &[Row(T::Property)],
        /* Property */ &[U16, String, Blob],
        /* MethodSemantics */ &[U16, Row(T::MethodDef), Coded(HasSemantics)],
        /* MethodImpl */ &[Row(T::TypeDef), Coded(MethodDefOrRef), Coded(MethodDefOrRef)],
        /* ModuleRef */ &[String],
        /* TypeSpec */ &[Blob],
        /* ImplMap */ &[U16, Coded(MemberForwarded), String, Row(T::ModuleRef)],
        /* FieldRva */ &[U32, Row(T::Field)],
        /* EncLog */ &[U32, U32],
        /* EncMap */ &[U32],
        /* Assembly */ &[U32, U16, U16, U16, U16, U32, Blob, String, String],
        /* AssemblyProcessor */ &[U32],
        /* AssemblyOs */ &[U32, U32, U32],
        /* AssemblyRef */ &[U16, U16, U16, U16, U32, Blob, String, String, Blob],
        /* AssemblyRefProcessor */ &[U32, Row(T::AssemblyRef)],
        /* AssemblyRefOs */ &[U32, U32, U32, Row(T::AssemblyRef)],
        /* File */ &[U32, String, Blob],
        /* ExportedType */ &[U32, U32, String, String, Coded(Implementation)],
        /* ManifestResource */ &[U32, U32, String, Coded(Implementation)],
        /* NestedClass */ &[Row(T::TypeDef), Row(T::TypeDef)],
        /* GenericParam */ &[U16, U16, Coded(TypeOrMethodDef), String],
        /* MethodSpec */ &[Coded(MethodDefOrRef), Blob],
        /* GenericParamConstraint */ &[Row(T::GenericParam), Coded(TypeDefOrRef)],
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_numbers_and_tag_widths() {
        for (number, table) in ALL_TABLES.iter().enumerate() {
            assert_eq!(*table as usize, number);
            assert!(SCHEMA[number].len() <= MAX_COLUMNS);
        }
        assert_eq!(CodedIndex::HasCustomAttribute.tag_bits(), 5);
        assert_eq!(CodedIndex::CustomAttributeType.tag_bits(), 3);
        assert_eq!(CodedIndex::TypeDefOrRef.tag_bits(), 2);
        assert_eq!(CodedIndex::HasFieldMarshal.tag_bits(), 1);
    }
}

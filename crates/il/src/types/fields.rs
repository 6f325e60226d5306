//! Fields, and where they lie: the layout of instances and of static areas.

use smallvec::SmallVec;

use super::class::type_attributes;
use super::intern::IdCell;
use super::layout::align_up;
use super::*;
use crate::error::{Error, ErrorKind, Result};
use crate::signature::TypeSig;
use crate::tables::{FieldRow, MethodDefRow, TableId, Token};

/// `FieldAttributes` (ECMA-335 II.23.1.5), as far as the type system looks at them.
pub mod field_attributes {
    /// Static.
    pub const STATIC: u16 = 0x10;
    /// Can be assigned in constructors only.
    pub const INIT_ONLY: u16 = 0x20;
    /// A compile-time constant without storage.
    pub const LITERAL: u16 = 0x40;
    /// Initial data in the image.
    pub const HAS_RVA: u16 = 0x100;
}

/// Largest value type or instance, in bytes.
const SIZE_LIMIT: u64 = 0x0800_0000;
/// Deepest nesting of value types in each other.
const STRUCT_DEPTH_LIMIT: usize = 200;

/// A field of a type.
#[derive(Clone, Debug)]
pub struct Field {
    /// The field.
    pub id: FieldId,
    /// The type that declares it, instantiated.
    pub owner: TypeId,
    /// Assembly of the declaration.
    pub assembly: AssemblyId,
    /// Row in its Field table.
    pub row: u32,
    /// Position among all fields of its type, from 0.
    pub index: u32,
    /// See [`field_attributes`].
    pub attributes: u16,
}

impl Field {
    /// Static, literals included.
    pub fn is_static(&self) -> bool {
        self.attributes & field_attributes::STATIC != 0
    }
    /// A compile-time constant without storage.
    pub fn is_literal(&self) -> bool {
        self.attributes & field_attributes::LITERAL != 0
    }
    /// Assigned in constructors only.
    pub fn is_init_only(&self) -> bool {
        self.attributes & field_attributes::INIT_ONLY != 0
    }
}

pub(crate) struct FieldEntry {
    field: Field,
    ty: IdCell,
}

/// What has static fields of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StaticHolder {
    /// A thread (`ThreadStatic`).
    Thread,
    /// A context of remoting (`ContextStatic`).
    Context,
}

/// Where a field's value is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldLocation {
    /// In the instance: from the start of the object, or of the payload of a value type.
    Instance {
        /// Bytes.
        offset: u32,
    },
    /// In the class's static area without references.
    Static {
        /// Bytes.
        offset: u32,
    },
    /// A reference in the class's static area of references.
    ReferenceStatic {
        /// Bytes.
        offset: u32,
    },
    /// A value type with references: a reference to a box with the value, in the class's static area of references.
    BoxedStatic {
        /// Bytes.
        offset: u32,
    },
    /// As [`FieldLocation::Static`], of each thread or context.
    LocalStatic {
        /// Whose.
        holder: StaticHolder,
        /// Bytes.
        offset: u32,
    },
    /// As [`FieldLocation::ReferenceStatic`], of each thread or context.
    LocalReferenceStatic {
        /// Whose.
        holder: StaticHolder,
        /// Bytes.
        offset: u32,
    },
    /// As [`FieldLocation::BoxedStatic`], of each thread or context.
    LocalBoxedStatic {
        /// Whose.
        holder: StaticHolder,
        /// Bytes.
        offset: u32,
    },
    /// Static with initial data in the image, where the value also may stay.
    Rva {
        /// Address in the image.
        rva: u32,
    },
    /// No storage.
    Literal,
}

/// The layout of a type's instances.
#[derive(Debug)]
pub struct Class {
    /// Its identity; a `Class` derefs to it.
    pub header: ClassHeader,
    /// Bytes of a whole object with header (of a value type: when boxed), a multiple of the pointer size. Of arrays the offset of
    /// the first element, of strings that of a string of length 0 with its terminator, unrounded.
    pub instance_size: u32,
    /// Value types: bytes of the payload, at least 1. Else the size of a reference.
    pub value_size: u32,
    /// Value types: alignment of the payload. Else the alignment that objects need, at least the pointer size.
    pub align: u32,
    /// Bytes from the start of the object up to the end of the last field, where fields of derived classes may begin.
    pub fields_end: u32,
    /// Instances hold references; of arrays: elements do.
    pub contains_references: bool,
    /// Where references are, ascending, with inherited ones: from the start of the object; of value types from the start of the
    /// payload. Empty for arrays.
    pub reference_offsets: Box<[u32]>,
    /// Where references are that do not keep their objects, ascending, with inherited ones: from the start of the object. They are not
    /// among `reference_offsets`.
    pub weak_offsets: Box<[u32]>,
    /// Some of the references share their bytes with other fields, and may be anything; of arrays: those of the elements do.
    pub has_overlapped_references: bool,
    /// All fields declared here, in metadata order.
    pub fields: Box<[FieldId]>,
    /// By position in `fields`: offset of instance fields, [`u32::MAX`] of others.
    offsets: Box<[u32]>,
    /// Enumerations: the underlying type.
    pub enum_underlying: Option<TypeId>,
    /// Has a finalizer of its own or an inherited one other than `object`'s.
    pub has_finalizer: bool,
    /// MethodDef row of the class initialiser; see [`TypeSystem::class_initializer`].
    pub(crate) initializer_row: Option<u32>,
    /// Marked `IsByRefLike`, or holds a managed pointer: lives on the stack only.
    pub is_by_ref_like: bool,
    /// Only numbers inside (neither `bool` nor `char`), in order: the same in managed and native memory.
    pub is_blittable: bool,
}

impl std::ops::Deref for Class {
    type Target = ClassHeader;
    fn deref(&self) -> &ClassHeader {
        &self.header
    }
}

/// A field to be placed.
struct Placed {
    index: usize,
    ty: TypeId,
    size: u32,
    align: u32,
    has_references: bool,
    is_reference: bool,
    offset: u32,
}

impl TypeSystem {
    /// All fields declared by a type, in metadata order.
    pub fn fields_of(&self, t: TypeId) -> Result<&[FieldId]> {
        let fields = self.entry(t).fields.get_or(|| {
            let Some((assembly, row)) = self.definition_of(t) else {
                return Ok(Box::default());
            };
            let metadata = self.metadata(assembly);
            let make = |(index, row): (usize, u32)| {
                let attributes = metadata.row::<FieldRow>(row)?.flags;
                Ok(FieldId(self.fields.push(|id| FieldEntry {
                    field: Field { id: FieldId(id), owner: t, assembly, row, index: index as u32, attributes },
                    ty: IdCell::default(),
                })))
            };
            metadata.fields_of(row).enumerate().map(make).collect()
        })?;
        Ok(fields)
    }

    /// A field's declaration.
    #[inline]
    pub fn field(&self, f: FieldId) -> &Field {
        &self.fields.get(f.0).field
    }

    /// A field's name.
    pub fn field_name(&self, f: FieldId) -> &str {
        let field = self.field(f);
        let metadata = self.metadata(field.assembly);
        metadata.row::<FieldRow>(field.row).map_or("", |row| metadata.string(row.name))
    }

    /// A field's type.
    pub fn field_type(&self, f: FieldId) -> Result<TypeId> {
        let entry = self.fields.get(f.0);
        if let Some(id) = entry.ty.get() {
            return Ok(TypeId(id));
        }
        let field = &entry.field;
        let metadata = self.metadata(field.assembly);
        let token = Token::new(TableId::Field, field.row);
        let row: FieldRow = metadata.row(field.row)?;
        let signature = TypeSig::parse_field(metadata.blob(row.signature)?);
        let signature = signature.map_err(|error| metadata.locate(error).with_token(token))?;
        let ty = self.type_from_signature(field.assembly, &signature, &self.type_context(field.owner))?;
        entry.ty.set(ty.0);
        Ok(ty)
    }

    /// A field's type for the layout of its class, which says whose field it is if the type cannot be loaded.
    pub(super) fn type_to_lay_out(&self, f: FieldId) -> Result<TypeId> {
        self.field_type(f).map_err(|error| {
            if !matches!(error.kind(), ErrorKind::FileNotFound | ErrorKind::FileLoad | ErrorKind::TypeLoad | ErrorKind::BadImage)
            {
                return error;
            }
            let field = self.field(f);
            let (class, name, reason) = (self.reflection_name(field.owner), self.field_name(f), error.reason());
            let message = format!("Could not load type of field '{class}:{name}' ({}) due to: {reason}", field.index);
            self.load_error(field.owner, &message)
        })
    }

    /// The same field of the owner that a context makes of an open one.
    pub fn substitute_field(&self, f: FieldId, context: &GenericContext<'_>) -> Result<FieldId> {
        let field = self.field(f);
        let owner = self.substitute(field.owner, context);
        let found = self.fields_of(owner)?.get(field.index as usize);
        found.copied().ok_or_else(|| self.load_error(owner, "a field has no place"))
    }

    /// The field of this name that a type declares itself.
    pub fn find_field(&self, t: TypeId, name: &str) -> Result<Option<FieldId>> {
        Ok(self.fields_of(t)?.iter().copied().find(|&f| self.field_name(f) == name))
    }

    /// The field of this name that a type or one of its bases declares, the nearest first.
    pub fn find_inherited_field(&self, t: TypeId, name: &str) -> Result<Option<FieldId>> {
        let mut class = Some(t);
        while let Some(current) = class {
            if let Some(field) = self.find_field(current, name)? {
                return Ok(Some(field));
            }
            class = self.header(current)?.parent;
        }
        Ok(None)
    }

    /// Where a field's value is.
    pub fn field_location(&self, f: FieldId) -> Result<FieldLocation> {
        let field = self.field(f);
        let index = field.index as usize;
        let location = match field.is_static() {
            true => self.statics(field.owner)?.locations.get(index).copied().flatten(),
            false => self.class(field.owner)?.offsets.get(index).map(|&offset| FieldLocation::Instance { offset }),
        };
        location.ok_or_else(|| self.load_error(field.owner, "a field has no place"))
    }

    /// The fields of each instance that a type declares itself, with their offsets (see [`FieldLocation::Instance`]).
    pub fn instance_fields(&self, t: TypeId) -> Result<impl Iterator<Item = (FieldId, u32)>> {
        let class = self.class(t)?;
        let pairs = class.fields.iter().copied().zip(class.offsets.iter().copied());
        Ok(pairs.filter(|&(_, offset)| offset != u32::MAX))
    }

    /// The layout of a type's instances.
    #[inline]
    pub fn class(&self, t: TypeId) -> Result<&Class> {
        self.entry(t).class.get_or(|| self.load_class(t, &mut Vec::new()))
    }

    /// As [`TypeSystem::class`] while the types in `loading` are being laid out.
    fn class_within(&self, t: TypeId, loading: &mut Vec<TypeId>) -> Result<&Class> {
        if loading.contains(&t) || loading.len() > STRUCT_DEPTH_LIMIT {
            let (namespace, name) = self.simple_name(t);
            return Err(self.load_error(t, &format!("Recursive type definition detected {namespace}.{name}")));
        }
        self.entry(t).class.get_or(|| self.load_class(t, loading))
    }

    fn load_class(&self, t: TypeId, loading: &mut Vec<TypeId>) -> Result<Class> {
        loading.push(t);
        let class = match self.kind(t) {
            TypeKind::SzArray(element) => self.load_array_class(t, *element, self.object_layout().vector_data(), loading),
            TypeKind::Array { element, rank } => {
                let data = self.object_layout().array_data(*rank);
                self.load_array_class(t, *element, data, loading)
            }
            TypeKind::Primitive(primitive) => self.load_primitive_class(t, *primitive),
            _ => self.load_field_layout(t, loading),
        };
        loading.pop();
        class
    }

    fn load_array_class(&self, t: TypeId, element: TypeId, data: u32, loading: &mut Vec<TypeId>) -> Result<Class> {
        let pointer = self.layout.pointer_bytes;
        let (_, _, contains_references) = self.measure(element, loading)?;
        Ok(Class {
            header: self.header(t)?.clone(),
            instance_size: data,
            value_size: pointer,
            align: 8,
            fields_end: data,
            contains_references,
            reference_offsets: Box::default(),
            weak_offsets: Box::default(),
            has_overlapped_references: self.has_overlapped_references(element, loading)?,
            fields: Box::default(),
            offsets: Box::default(),
            enum_underlying: None,
            has_finalizer: false,
            initializer_row: None,
            is_by_ref_like: false,
            is_blittable: false,
        })
    }

    /// The classes of built-in types have a field of their own type, so that their size must be known beforehand.
    fn load_primitive_class(&self, t: TypeId, primitive: Primitive) -> Result<Class> {
        let storage = primitive_storage(primitive);
        let (size, align) = (storage.size(&self.layout).max(1), storage.align(&self.layout));
        let fields: Box<[FieldId]> = self.fields_of(t)?.into();
        let offsets = fields.iter().map(|&f| if self.field(f).is_static() { u32::MAX } else { 0 }).collect();
        let end = self.object_layout().boxed_payload() + size;
        let header = self.header(t)?.clone();
        let (initializer_row, _) = self.special_methods(&header)?;
        Ok(Class {
            header,
            instance_size: align_up(end, self.layout.pointer_bytes),
            value_size: size,
            align,
            fields_end: end,
            contains_references: false,
            reference_offsets: Box::default(),
            weak_offsets: Box::default(),
            has_overlapped_references: false,
            fields,
            offsets,
            enum_underlying: None,
            has_finalizer: false,
            initializer_row,
            is_by_ref_like: false,
            is_blittable: !matches!(primitive, Primitive::Boolean | Primitive::Char | Primitive::Void),
        })
    }

    fn load_field_layout(&self, t: TypeId, loading: &mut Vec<TypeId>) -> Result<Class> {
        let header = self.header(t)?.clone();
        let pointer = self.layout.pointer_bytes;
        let is_value_type = header.is_value_type();
        let fields: Box<[FieldId]> = self.fields_of(t)?.into();
        let metadata = self.metadata(header.assembly);
        let parent = match header.parent {
            Some(parent) if !is_value_type => Some(self.class_within(parent, loading)?),
            _ => None,
        };
        let mut references: Vec<u32> = parent.map_or(Vec::new(), |parent| parent.reference_offsets.to_vec());
        let mut weak: Vec<u32> = parent.map_or(Vec::new(), |parent| parent.weak_offsets.to_vec());
        let mut has_overlapped_references = parent.is_some_and(|parent| parent.has_overlapped_references);
        let mut align = parent.map_or(if is_value_type { 1 } else { pointer }, |parent| parent.align);
        let mode = header.attributes & type_attributes::LAYOUT;
        let is_fixed = mode == type_attributes::EXPLICIT_LAYOUT || mode == type_attributes::SEQUENTIAL_LAYOUT;
        let start = match (is_value_type, parent) {
            (true, _) => 0,
            (false, None) => self.object_layout().first_field(),
            // Programs pass the address of the first field to native code, which expects the others where C has them.
            (false, Some(parent)) if is_fixed && parent.id == TypeId::OBJECT => self.object_layout().boxed_payload(),
            (false, Some(parent)) => parent.fields_end,
        };

        let is_numeric = |ty: TypeId| !matches!(ty, TypeId::BOOLEAN | TypeId::CHAR);
        let mut is_blittable = is_value_type || parent.is_some_and(|parent| parent.is_blittable || parent.id == TypeId::OBJECT);
        let mut is_by_ref_like = is_value_type && self.has_attribute(header.assembly, header.row, "IsByRefLikeAttribute");
        let mut placed: SmallVec<[Placed; 8]> = SmallVec::new();
        for (index, &f) in fields.iter().enumerate() {
            if self.field(f).is_static() {
                // Static fields too must have types; those of the class libraries do.
                if !self.loaded(header.assembly).is_class_library {
                    self.type_to_lay_out(f)?;
                }
                continue;
            }
            let ty = self.type_to_lay_out(f)?;
            let (size, field_align, has_references) = self.measure(ty, loading)?;
            let is_reference = matches!(self.shallow_storage(ty), Some(Storage::Ref));
            match self.shallow_storage(ty) {
                Some(Storage::Ref) => is_blittable = false,
                Some(Storage::ManagedPointer) => (is_blittable, is_by_ref_like) = (false, true),
                Some(_) => is_blittable &= is_numeric(ty),
                None => {
                    let class = self.class_within(ty, loading)?;
                    is_blittable &= class.is_blittable;
                    is_by_ref_like |= class.is_by_ref_like;
                    has_overlapped_references |= class.has_overlapped_references;
                }
            }
            placed.push(Placed { index, ty, size, align: field_align, has_references, is_reference, offset: 0 });
        }

        let layout = metadata.class_layout(header.row);
        let pack = layout.map_or(0, |layout| u32::from(layout.packing_size));
        let class_size = layout.map_or(0, |layout| layout.class_size);
        if !pack.is_power_of_two() && pack != 0 {
            return Err(self.load_error(t, "the packing size is not a power of two"));
        }
        if is_fixed && pack != 0 {
            // The collector finds references at multiples of the pointer size only, whatever the packing.
            let least = |field: &Placed| if field.has_references { pointer } else { 1 };
            placed.iter_mut().for_each(|field| field.align = field.align.min(pack).max(least(field)));
        }
        is_blittable &= is_fixed || header.is_enum();
        let end = match mode {
            type_attributes::EXPLICIT_LAYOUT => {
                let (end, overlaps) = self.place_explicitly(t, &fields, &mut placed, start, &references, loading)?;
                has_overlapped_references |= overlaps;
                end
            }
            type_attributes::SEQUENTIAL_LAYOUT => place_in_order(&mut placed, start),
            _ => place_packed(&mut placed, start),
        };

        let mut offsets = vec![u32::MAX; fields.len()];
        for field in &placed {
            align = align.max(field.align);
            offsets[field.index] = field.offset;
            if field.is_reference {
                let is_weak = !is_value_type && self.is_weak_field(header.assembly, self.field(fields[field.index]).row);
                if is_weak { &mut weak } else { &mut references }.push(field.offset);
            } else if self.shallow_storage(field.ty).is_none() {
                let inner = self.class_within(field.ty, loading)?;
                references.extend(inner.reference_offsets.iter().map(|offset| offset + field.offset));
            }
        }
        references.sort_unstable();
        references.dedup();
        weak.sort_unstable();
        // An explicit size counts from the first field on, and gives no fewer bytes than the fields take.
        let end = if is_fixed && class_size != 0 { end.max(u64::from(start) + u64::from(class_size)) } else { end };
        if end > SIZE_LIMIT {
            return Err(self.load_error(t, "the type is too large"));
        }
        let end = end as u32;
        let (initializer_row, declares_finalizer) = self.special_methods(&header)?;
        let enum_underlying = match header.is_enum() {
            true => Some(
                placed.first().map(|field| field.ty).ok_or_else(|| self.load_error(t, "an enumeration has no value field"))?,
            ),
            false => None,
        };
        // An explicit size of a structure with explicit offsets is taken at its word, but where the collector needs alignment.
        let is_exact = mode == type_attributes::EXPLICIT_LAYOUT && class_size != 0 && references.is_empty();
        let value_size = match (is_value_type, is_exact) {
            (true, true) => end.max(1),
            (true, false) => align_up(end.max(1), align),
            (false, _) => pointer,
        };
        let fields_end = if is_value_type { self.object_layout().boxed_payload() + value_size } else { end };
        Ok(Class {
            instance_size: if t == TypeId::STRING { fields_end } else { align_up(fields_end, pointer) },
            value_size,
            align,
            fields_end,
            contains_references: !references.is_empty(),
            reference_offsets: references.into(),
            weak_offsets: weak.into(),
            has_overlapped_references,
            fields,
            offsets: offsets.into(),
            enum_underlying,
            has_finalizer: !is_value_type && (declares_finalizer || parent.is_some_and(|parent| parent.has_finalizer)),
            initializer_row,
            is_by_ref_like,
            is_blittable,
            header,
        })
    }

    /// Gives each field the offset from the metadata. Returns the end, and whether a reference, `inherited` ones included, overlaps
    /// anything else, which Mono allows as long as it lies at a multiple of the pointer size.
    fn place_explicitly(
        &self,
        t: TypeId,
        fields: &[FieldId],
        placed: &mut [Placed],
        start: u32,
        inherited: &[u32],
        loading: &mut Vec<TypeId>,
    ) -> Result<(u64, bool)> {
        let pointer = self.layout.pointer_bytes;
        // Offsets count from the object's beginning, so that fields may overlap those of the base class, as in Mono.
        let base = if start == 0 { 0 } else { align_up(self.object_layout().first_field(), 8) };
        if !self.generic_params(self.generic_definition_type(t))?.is_empty() {
            return Err(self.load_error(t, "Generic class cannot have explicit layout."));
        }
        let mut end = u64::from(start);
        // Byte ranges: those that are references, and others.
        let (mut references, mut others) = (inherited.to_vec(), Vec::new());
        for field in placed.iter_mut() {
            let row = self.field(fields[field.index]).row;
            let offset = self.metadata(self.field(fields[field.index]).assembly).field_offset(row);
            let offset = offset.ok_or_else(|| {
                self.load_error(t, &format!("Missing field layout info for {}", self.field_name(fields[field.index])))
            })?;
            if (offset as i32) < -1 {
                let (name, offset) = (self.field_name(fields[field.index]), offset as i32);
                return Err(self.load_error(t, &format!("Field '{name}' has a negative offset {offset}")));
            }
            let field_end = u64::from(base) + u64::from(offset) + u64::from(field.size);
            if field_end > SIZE_LIMIT {
                return Err(self.load_error(t, "a field lies too far out"));
            }
            field.offset = base + offset;
            if field.has_references && field.offset % pointer != 0 {
                let name = self.field_name(fields[field.index]);
                let message = format!("Reference typed field '{name}' has explicit offset that is not pointer-size aligned.");
                return Err(self.load_error(t, &message));
            }
            end = end.max(field_end);
            if field.is_reference {
                references.push(field.offset);
            } else if self.shallow_storage(field.ty).is_some() {
                others.push(field.offset..field.offset + field.size);
            } else {
                let inner = self.class_within(field.ty, loading)?;
                let mut position = 0;
                for &reference in &inner.reference_offsets {
                    others.push(field.offset + position..field.offset + reference);
                    references.push(field.offset + reference);
                    position = reference + pointer;
                }
                others.push(field.offset + position..field.offset + inner.value_size);
            }
        }
        let is_overlapped =
            |&reference: &u32| others.iter().any(|range| range.start < reference + pointer && reference < range.end);
        Ok((end, references.iter().any(is_overlapped)))
    }

    /// Whether a location of this type has references that share their bytes with other fields.
    fn has_overlapped_references(&self, t: TypeId, loading: &mut Vec<TypeId>) -> Result<bool> {
        match self.shallow_storage(t) {
            Some(_) => Ok(false),
            None => Ok(self.class_within(t, loading)?.has_overlapped_references),
        }
    }

    /// Storage of a type that needs no loading of fields; `None` for structures and enumerations.
    fn shallow_storage(&self, t: TypeId) -> Option<Storage> {
        match self.kind(t) {
            TypeKind::Primitive(primitive) => Some(primitive_storage(*primitive)),
            TypeKind::Pointer(_) | TypeKind::FunctionPointer(_) => Some(Storage::NativeUInt),
            TypeKind::ByRef(_) => Some(Storage::ManagedPointer),
            TypeKind::TypedReference => None,
            _ if self.is_value_type(t) => None,
            _ => Some(Storage::Ref),
        }
    }

    /// Size, alignment and whether there are references, of a location of this type.
    pub(super) fn measure(&self, t: TypeId, loading: &mut Vec<TypeId>) -> Result<(u32, u32, bool)> {
        self.check_loadable(t)?;
        match self.shallow_storage(t) {
            Some(storage) => Ok((storage.size(&self.layout), storage.align(&self.layout), storage == Storage::Ref)),
            None => {
                let class = self.class_within(t, loading)?;
                Ok((class.value_size, class.align, class.contains_references))
            }
        }
    }

    /// A class that cannot be loaded must not count as a reference; one that is not finished may, if that was promised.
    fn check_loadable(&self, t: TypeId) -> Result<()> {
        let definition = self.generic_definition_type(t);
        if let TypeKind::Class { assembly, .. } = *self.kind(definition) {
            if self.is_filled(assembly) || !self.is_promised_reference(assembly) {
                self.header(definition)?;
            }
        }
        Ok(())
    }

    /// What a location of this type holds. Open generic parameters count as references.
    pub fn storage(&self, t: TypeId) -> Result<Storage> {
        if let Some(storage) = self.shallow_storage(t) {
            if storage == Storage::Ref {
                self.check_loadable(t)?;
            }
            return Ok(storage);
        }
        let class = self.class(t)?;
        match class.enum_underlying {
            Some(underlying) => self.storage(underlying),
            None => Ok(Storage::Struct { size: class.value_size, align: class.align }),
        }
    }

    /// Bytes of an element of an array type.
    pub fn element_size(&self, array: TypeId) -> Result<u32> {
        let element = self.element_type(array).ok_or_else(|| self.load_error(array, "not an array"))?;
        Ok(self.measure(element, &mut Vec::new())?.0)
    }

    /// The underlying type of an enumeration; any other type itself.
    pub fn enum_underlying(&self, t: TypeId) -> Result<TypeId> {
        match self.is_enum(t) {
            true => Ok(self.class(t)?.enum_underlying.unwrap_or(t)),
            false => Ok(t),
        }
    }

    /// The scalars of a value type (or the type itself, if it is scalar), with offsets, in order of offsets: nested structures are
    /// dissolved. For classification by calling conventions.
    pub fn flattened_fields(&self, t: TypeId) -> Result<Vec<(u32, Storage)>> {
        let mut fields = Vec::new();
        self.flatten_into(t, 0, &mut fields)?;
        fields.sort_by_key(|&(offset, _)| offset);
        Ok(fields)
    }

    fn flatten_into(&self, t: TypeId, base: u32, fields: &mut Vec<(u32, Storage)>) -> Result<()> {
        match self.storage(t)? {
            Storage::Struct { size, .. } => {
                let first = fields.len();
                for (field, offset) in self.instance_fields(t)? {
                    self.flatten_into(self.field_type(field)?, base + offset, fields)?;
                }
                // A structure whose explicit size goes beyond its one field is a fixed buffer: that field repeats.
                if let [(offset, storage)] = fields[first..] {
                    let step = storage.size(&self.layout);
                    let count = size / step.max(1);
                    if offset == base && count > 1 && storage.align(&self.layout) <= step && count <= 64 {
                        fields.extend((1..count).map(|i| (base + i * step, storage)));
                    }
                }
                Ok(())
            }
            storage => {
                fields.push((base, storage));
                Ok(())
            }
        }
    }

    /// MethodDef row of the class initialiser, and whether a finalizer is declared.
    fn special_methods(&self, header: &ClassHeader) -> Result<(Option<u32>, bool)> {
        use method_attributes::{NEW_SLOT, RT_SPECIAL_NAME, STATIC, VIRTUAL};
        let metadata = self.metadata(header.assembly);
        let mut found = (None, false);
        for row in metadata.methods_of(header.row) {
            let method: MethodDefRow = metadata.row(row)?;
            if method.flags & (STATIC | RT_SPECIAL_NAME) == STATIC | RT_SPECIAL_NAME {
                if metadata.string(method.name) == ".cctor" {
                    found.0 = Some(row);
                }
            } else if method.flags & (VIRTUAL | NEW_SLOT) == VIRTUAL && metadata.string(method.name) == "Finalize" {
                let has_no_params = metadata.blob(method.signature)?.get(1) == Some(&0);
                found.1 |= has_no_params && header.id != TypeId::OBJECT;
            }
        }
        Ok(found)
    }

    /// The class initialiser of a type.
    pub fn class_initializer(&self, t: TypeId) -> Result<Option<MethodId>> {
        Ok(self.class(t)?.initializer_row.map(|row| self.method_on(t, row)))
    }

    /// Whether a TypeDef has a custom attribute of `System.Runtime.CompilerServices` with this name.
    pub fn has_attribute(&self, assembly: AssemblyId, row: u32, name: &str) -> bool {
        let parent = Token::new(TableId::TypeDef, row);
        self.has_custom_attribute(assembly, parent, "System.Runtime.CompilerServices", name)
    }

    /// A [`ErrorKind::MissingField`] error.
    #[cold]
    pub(crate) fn missing_field(&self, owner: TypeId, name: &str, wanted: TypeId) -> Error {
        let (ty, member) = (self.type_name(wanted), self.missing_member_name(owner, name));
        let message = format!("Field not found: {ty} {member} Due to: Could not find field in class");
        Error::new(ErrorKind::MissingField, message).with_name(format!("{}.{name}", self.reflection_name(owner)))
    }
}

/// Places fields in the order given. Returns the end.
fn place_in_order(placed: &mut [Placed], start: u32) -> u64 {
    let mut end = u64::from(start);
    for field in placed {
        let align = u64::from(field.align);
        end = (end + align - 1) & !(align - 1);
        field.offset = u32::try_from(end).unwrap_or(u32::MAX);
        end += u64::from(field.size);
    }
    end
}

/// Places fields so that little is lost to alignment: those with the largest alignment first, and as long as the position is not
/// aligned for them, smaller ones. Returns the end.
fn place_packed(placed: &mut [Placed], start: u32) -> u64 {
    placed.sort_by_key(|field| (std::cmp::Reverse(field.align), !field.is_reference));
    let mut waiting: SmallVec<[usize; 16]> = (0..placed.len()).collect();
    let mut end = u64::from(start);
    while !waiting.is_empty() {
        let fitting = waiting.iter().position(|&i| end % u64::from(placed[i].align) == 0).unwrap_or(0);
        let field = &mut placed[waiting.remove(fitting)];
        let align = u64::from(field.align);
        end = (end + align - 1) & !(align - 1);
        field.offset = u32::try_from(end).unwrap_or(u32::MAX);
        end += u64::from(field.size);
    }
    end
}

/// Storage of a built-in type.
pub(crate) const fn primitive_storage(primitive: Primitive) -> Storage {
    match primitive {
        Primitive::Void => Storage::Void,
        Primitive::Boolean | Primitive::U1 => Storage::U1,
        Primitive::I1 => Storage::I1,
        Primitive::Char | Primitive::U2 => Storage::U2,
        Primitive::I2 => Storage::I2,
        Primitive::I4 => Storage::I4,
        Primitive::U4 => Storage::U4,
        Primitive::I8 => Storage::I8,
        Primitive::U8 => Storage::U8,
        Primitive::R4 => Storage::R4,
        Primitive::R8 => Storage::R8,
        Primitive::I => Storage::NativeInt,
        Primitive::U => Storage::NativeUInt,
    }
}

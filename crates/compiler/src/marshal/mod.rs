//! How values cross to native code and back: what each parameter, result and field becomes there.
//!
//! Compiler and runtime share these descriptions: the compiler takes the native signature from them ([`signature`]), the runtime
//! converts by them. Nothing here touches a value. Sources: ECMA-335 II.15.5.4 and II.23.4; where they are silent, what Mono does.

pub mod layout;
pub mod signature;

use il::attributes::{MarshalDescriptor, native};
use il::types::{AssemblyId, DataLayout, Storage, TypeId, TypeKind, TypeSystem};
use il::{Error, ErrorKind, Result};
use ir::types::Access;

use crate::signature::storage_access;

/// `LayoutMask` of a type's attributes and its values (ECMA-335 II.23.1.15).
const LAYOUT_MASK: u32 = 0x18;
/// Fields lie in the order of their declaration.
const SEQUENTIAL_LAYOUT: u32 = 0x08;
/// Fields lie where they say.
const EXPLICIT_LAYOUT: u32 = 0x10;
/// `StringFormatMask` of a type's attributes, and its value for UTF-16.
const STRING_FORMAT_MASK: u32 = 0x3_0000;
const UNICODE_CLASS: u32 = 0x1_0000;

/// Bytes of a COM variant in a structure, and its alignment, as Mono has it.
const FIELD_VARIANT_BYTES: u32 = 16;

/// A native form of text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Text {
    /// UTF-8 that ends with a 0. "ANSI" is UTF-8 on this system.
    Utf8,
    /// UTF-16 that ends with a 0.
    Utf16,
    /// UTF-16 behind its length in bytes.
    Bstr,
    /// UTF-8 behind its length in bytes.
    AnsiBstr,
}

/// The COM interface that an object is seen through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Interface {
    /// `IUnknown`
    Unknown,
    /// `IDispatch`
    Dispatch,
    /// That of the type at the place.
    Of(TypeId),
}

/// What a value becomes in native code.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Conversion {
    /// The same bits: numbers, pointers, and structures of them.
    Same(TypeId),
    /// A truth value of another size.
    Boolean {
        /// What native code holds.
        native: Storage,
        /// How it writes "true".
        truth: i32,
    },
    /// A UTF-16 unit as one byte.
    NarrowChar,
    /// A `string` as a pointer.
    Text(Text),
    /// A `StringBuilder` as a pointer to its buffer.
    Builder(Text),
    /// A `string` in place.
    FixedText {
        /// UTF-8 or UTF-16.
        text: Text,
        /// Units with the final 0.
        count: u32,
    },
    /// A value type, field by field.
    Structure(TypeId),
    /// An object of a class with a layout, as a pointer to its fields.
    ClassPointer(TypeId),
    /// Likewise, in place.
    ClassInPlace(TypeId),
    /// A delegate as a function pointer.
    Delegate(TypeId),
    /// A `SafeHandle`'s handle.
    SafeHandle(TypeId),
    /// A `CriticalHandle`'s handle.
    CriticalHandle(TypeId),
    /// The handle in a `HandleRef`.
    HandleRef(TypeId),
    /// An array as a pointer to its elements.
    Array {
        /// What an element becomes.
        element: Box<Conversion>,
        /// Managed type of the elements.
        element_type: TypeId,
        /// Parameter from 0 that holds the number of elements.
        size_param: Option<u32>,
        /// Number of elements, or of those added to the parameter's.
        count: Option<u32>,
    },
    /// An array in place.
    FixedArray {
        /// What an element becomes.
        element: Box<Conversion>,
        /// Managed type of the elements.
        element_type: TypeId,
        /// Number of elements.
        count: u32,
    },
    /// By methods of a class that the program names.
    Custom {
        /// Name of the class that implements `ICustomMarshaler`.
        marshaler: Box<str>,
        /// Assembly that names it.
        assembly: AssemblyId,
        /// Text handed to it.
        cookie: Box<str>,
        /// Managed type of the value.
        ty: TypeId,
    },
    /// An object by what it is.
    AsAny {
        /// Form of strings.
        text: Text,
    },
    /// A `DateTime` as days since the end of 1899.
    Date(TypeId),
    /// An object as a COM interface.
    Interface(Interface),
    /// An object as a COM variant.
    Variant,
    /// Likewise in a structure, where Mono leaves no room for all of one: there are none but empty ones.
    FieldVariant,
    /// An array as a COM safe array. Without a library that makes them, all are null, as they are for Mono.
    SafeArray,
    /// A pointer to a value.
    Pointer {
        /// What that becomes.
        target: Box<Conversion>,
        /// Whether the managed side has a managed pointer, too; else the value itself.
        by_ref: bool,
    },
}

/// The native side of a value: its place in memory and, for calling conventions, the scalars in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NativeForm {
    /// What a location of it holds.
    pub storage: Storage,
    /// Bytes.
    pub size: u32,
    /// Alignment in bytes.
    pub align: u32,
    /// The scalars with their byte offsets, in order.
    pub fields: Vec<(u32, Access)>,
}

impl NativeForm {
    fn scalar(storage: Storage, layout: &DataLayout) -> NativeForm {
        let fields = storage_access(storage).map(|access| (0, access)).into_iter().collect();
        NativeForm { storage, size: storage.size(layout), align: storage.align(layout), fields }
    }

    fn structure(size: u32, align: u32, fields: Vec<(u32, Access)>) -> NativeForm {
        NativeForm { storage: Storage::Struct { size, align }, size, align, fields }
    }

    fn repeated(&self, count: u32) -> NativeForm {
        let fields = (0..count).flat_map(|index| self.fields.iter().map(move |&(at, access)| (index * self.size + at, access)));
        NativeForm::structure(self.size * count, self.align, fields.collect())
    }
}

/// Where a value stands, as far as its default conversion depends on that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Whether text is UTF-16 where nothing else is said.
    pub unicode: bool,
    /// Whether it is a field; else a parameter, result or element.
    pub field: bool,
    /// Assembly of the declaration.
    pub assembly: AssemblyId,
}

impl Place {
    fn text(self) -> Text {
        if self.unicode { Text::Utf16 } else { Text::Utf8 }
    }
}

fn unsupported(types: &TypeSystem, ty: TypeId) -> Error {
    Error::new(ErrorKind::MarshalDirective, "the type cannot be marshalled this way").with_name(types.type_name(ty))
}

/// Whether `ty` is, or derives from, this class.
fn derives_from(types: &TypeSystem, ty: TypeId, namespace: &str, name: &str) -> Result<bool> {
    let mut class = Some(ty);
    while let Some(current) = class {
        if types.simple_name(current) == (namespace, name) {
            return Ok(true);
        }
        class = types.header(current)?.parent;
    }
    Ok(false)
}

const INTEROP: &str = "System.Runtime.InteropServices";

/// The conversion of a value of type `ty` with this descriptor.
///
/// # Errors
/// [`ErrorKind::MarshalDirective`] if there is none.
pub fn conversion(types: &TypeSystem, ty: TypeId, descriptor: Option<&MarshalDescriptor>, place: Place) -> Result<Conversion> {
    if let TypeKind::ByRef(target) = *types.kind(ty) {
        let target = Box::new(conversion(types, target, descriptor, place)?);
        if matches!(*target, Conversion::HandleRef(_)) {
            return Err(unsupported(types, ty));
        }
        return Ok(Conversion::Pointer { target, by_ref: true });
    }
    if let Some(MarshalDescriptor::Custom { marshaler, cookie }) = descriptor {
        let (marshaler, cookie) = (marshaler.clone(), cookie.clone());
        return Ok(Conversion::Custom { marshaler, assembly: place.assembly, cookie, ty });
    }
    let code = match descriptor {
        Some(MarshalDescriptor::Simple(code)) => Some(*code),
        _ => None,
    };
    match types.storage(ty)? {
        Storage::Ref => reference(types, ty, descriptor, code, place),
        Storage::Struct { .. } => structure(types, ty, code),
        _ if ty == TypeId::BOOLEAN => Ok(boolean(code)),
        _ if ty == TypeId::CHAR => Ok(match code {
            Some(native::I1 | native::U1) => Conversion::NarrowChar,
            Some(native::I2 | native::U2) => Conversion::Same(ty),
            _ if place.unicode => Conversion::Same(ty),
            _ => Conversion::NarrowChar,
        }),
        _ => Ok(Conversion::Same(ty)),
    }
}

fn boolean(code: Option<u8>) -> Conversion {
    let (native, truth) = match code {
        Some(native::I1 | native::U1) => (Storage::U1, 1),
        Some(native::VARIANT_BOOL) => (Storage::I2, -1),
        _ => (Storage::I4, 1),
    };
    Conversion::Boolean { native, truth }
}

fn structure(types: &TypeSystem, ty: TypeId, code: Option<u8>) -> Result<Conversion> {
    let conversion = match types.simple_name(ty) {
        (INTEROP, "HandleRef") => return Ok(Conversion::HandleRef(ty)),
        ("System", "DateTime") => Conversion::Date(ty),
        _ if types.class(ty)?.is_blittable => Conversion::Same(ty),
        _ if layout::kind(types, ty)? == layout::Kind::Auto => return Err(unsupported(types, ty)),
        _ => Conversion::Structure(ty),
    };
    Ok(match code {
        Some(native::LP_STRUCT) => Conversion::Pointer { target: Box::new(conversion), by_ref: false },
        _ => conversion,
    })
}

fn text_of(code: Option<u8>, place: Place) -> Option<Text> {
    Some(match code {
        None | Some(native::MAX) => place.text(),
        Some(native::LPSTR | native::LPTSTR | native::LPUTF8STR) => Text::Utf8,
        Some(native::LPWSTR) => Text::Utf16,
        Some(native::BSTR) => Text::Bstr,
        Some(native::ANSI_BSTR | native::TBSTR) => Text::AnsiBstr,
        _ => return None,
    })
}

fn reference(
    types: &TypeSystem,
    ty: TypeId,
    descriptor: Option<&MarshalDescriptor>,
    code: Option<u8>,
    place: Place,
) -> Result<Conversion> {
    let refused = || unsupported(types, ty);
    if ty == TypeId::STRING {
        return match descriptor {
            Some(&MarshalDescriptor::FixedString { size }) => Ok(Conversion::FixedText { text: place.text(), count: size }),
            Some(MarshalDescriptor::Interface { .. }) => Err(refused()),
            _ => text_of(code, place).map(Conversion::Text).ok_or_else(refused),
        };
    }
    let is_safe_array = matches!(descriptor, Some(MarshalDescriptor::SafeArray { .. }));
    if let TypeKind::SzArray(element) | TypeKind::Array { element, .. } = *types.kind(ty) {
        // Mono takes the others for pointers to their elements.
        return match (is_safe_array, element) {
            (true, TypeId::OBJECT) => Ok(Conversion::SafeArray),
            (true, _) => array(types, ty, element, None, place),
            (false, _) => array(types, ty, element, descriptor, place),
        };
    }
    if types.simple_name(ty) == ("System.Text", "StringBuilder") {
        return text_of(code, place).map(Conversion::Builder).ok_or_else(refused);
    }
    // That of elements is a code alone.
    let interface = match descriptor {
        Some(&MarshalDescriptor::Interface { kind, .. }) => Some(kind),
        _ => code.filter(|code| [native::IUNKNOWN, native::IDISPATCH, native::INTERFACE].contains(code)),
    };
    if ty == TypeId::OBJECT {
        return match (interface, code) {
            (Some(native::IDISPATCH), _) => Ok(Conversion::Interface(Interface::Dispatch)),
            (Some(_), _) => Ok(Conversion::Interface(Interface::Unknown)),
            (_, Some(native::AS_ANY)) => Ok(Conversion::AsAny { text: place.text() }),
            (_, Some(native::STRUCT)) if place.field => Ok(Conversion::FieldVariant),
            (_, Some(native::STRUCT)) => Ok(Conversion::Variant),
            _ => Err(refused()),
        };
    }
    if interface.is_some() || types.has_interface_type(ty) {
        return Ok(Conversion::Interface(Interface::Of(ty)));
    }
    if ty == types.well_known().array && is_safe_array {
        return Ok(Conversion::SafeArray);
    }
    let header = types.header(ty)?;
    let known = types.well_known();
    if header.is_delegate() || ty == known.delegate || ty == known.multicast_delegate {
        return Ok(Conversion::Delegate(ty));
    }
    if derives_from(types, ty, INTEROP, "SafeHandle")? {
        return Ok(Conversion::SafeHandle(ty));
    }
    if derives_from(types, ty, INTEROP, "CriticalHandle")? {
        return Ok(Conversion::CriticalHandle(ty));
    }
    if header.is_interface() || layout::kind(types, ty)? == layout::Kind::Auto {
        return Err(refused());
    }
    Ok(match (place.field, code) {
        (true, None | Some(native::STRUCT)) => Conversion::ClassInPlace(ty),
        _ => Conversion::ClassPointer(ty),
    })
}

fn array(
    types: &TypeSystem,
    ty: TypeId,
    element_type: TypeId,
    descriptor: Option<&MarshalDescriptor>,
    place: Place,
) -> Result<Conversion> {
    let (size_param, count, code) = match *descriptor.unwrap_or(&MarshalDescriptor::Simple(native::ARRAY)) {
        MarshalDescriptor::Array { element, size_param, element_count } => (size_param, element_count, element),
        MarshalDescriptor::FixedArray { count, element } => (None, Some(count), element),
        MarshalDescriptor::Simple(native::ARRAY | native::LP_STRUCT | native::LPSTR | native::LPTSTR | native::LPWSTR) => {
            (None, None, None)
        }
        _ => return Err(unsupported(types, ty)),
    };
    let unicode = matches!(descriptor, Some(MarshalDescriptor::Simple(native::LPWSTR))) || place.unicode;
    let simple = code.map(MarshalDescriptor::Simple);
    let element = Box::new(conversion(types, element_type, simple.as_ref(), Place { unicode, field: false, ..place })?);
    Ok(match (descriptor, count) {
        (Some(MarshalDescriptor::FixedArray { .. }), Some(count)) => Conversion::FixedArray { element, element_type, count },
        _ => Conversion::Array { element, element_type, size_param, count },
    })
}

impl Conversion {
    /// The native form.
    pub fn native_form(&self, types: &TypeSystem) -> Result<NativeForm> {
        let data = types.layout();
        let pointer = || NativeForm::scalar(Storage::NativeInt, data);
        Ok(match self {
            Conversion::Same(ty) => match types.storage(*ty)? {
                Storage::Struct { size, align } => {
                    let fields = types.flattened_fields(*ty)?;
                    let access = |(offset, storage)| Some((offset, storage_access(storage)?));
                    NativeForm::structure(size, align, fields.into_iter().filter_map(access).collect())
                }
                Storage::ManagedPointer => pointer(),
                scalar => NativeForm::scalar(scalar, data),
            },
            Conversion::Boolean { native, .. } => NativeForm::scalar(*native, data),
            Conversion::Date(_) => NativeForm::scalar(Storage::R8, data),
            Conversion::NarrowChar => NativeForm::scalar(Storage::U1, data),
            Conversion::FixedText { text, count } => {
                let unit = if *text == Text::Utf16 { Storage::U2 } else { Storage::U1 };
                NativeForm::scalar(unit, data).repeated(*count)
            }
            // A number that says what it is, then as many bytes as two pointers need.
            Conversion::Variant => {
                let bytes = (8 + 2 * data.pointer_bytes).next_multiple_of(8);
                NativeForm::scalar(Storage::I8, data).repeated(bytes / 8)
            }
            Conversion::FieldVariant => {
                let fields = NativeForm::scalar(Storage::I8, data).repeated(FIELD_VARIANT_BYTES / 8).fields;
                NativeForm::structure(FIELD_VARIANT_BYTES, FIELD_VARIANT_BYTES, fields)
            }
            Conversion::FixedArray { element, count, .. } => element.native_form(types)?.repeated(*count),
            Conversion::Structure(ty) | Conversion::ClassInPlace(ty) => {
                let layout = layout::native_layout(types, *ty)?;
                let mut fields = Vec::new();
                for field in &layout.fields {
                    let form = field.conversion.native_form(types)?;
                    fields.extend(form.fields.iter().map(|&(at, access)| (field.native_offset + at, access)));
                }
                fields.sort_by_key(|field| field.0);
                NativeForm::structure(layout.size, layout.align, fields)
            }
            _ => pointer(),
        })
    }
}

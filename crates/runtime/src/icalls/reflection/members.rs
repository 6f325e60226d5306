//! Listing the members of types: `RuntimeType.GetMethodsByName_native` and its like, which give arrays of handles.

use super::answers::Answers;
use super::events::event_handle;
use super::native::{pointer_array, text_at};
use super::objects::{is_constructor, type_of};
use super::properties::property_handle;
use super::relations::{base_type, is_bare};
use crate::exceptions::Result;
use crate::icalls::{InternalCall, icall, raising};
use crate::object::ObjectRef;
use crate::{handles, runtime};
use il::tables::{EventRow, MethodSemanticsRow, PropertyRow};
use il::types::{ArrayMethod, AssemblyId, MethodId, TypeId, TypeKind, method_attributes, type_attributes};
use il::{TableId, Token};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;
use std::ffi::{CStr, c_char};
use std::sync::LazyLock;

/// `BindingFlags`
mod binding {
    pub(super) const IGNORE_CASE: i32 = 1;
    pub(super) const DECLARED_ONLY: i32 = 2;
    pub(super) const INSTANCE: i32 = 4;
    pub(super) const STATIC: i32 = 8;
    pub(super) const PUBLIC: i32 = 0x10;
    pub(super) const NON_PUBLIC: i32 = 0x20;
    pub(super) const FLATTEN_HIERARCHY: i32 = 0x40;
}

/// `RuntimeType.MemberListType`: of all names (the class library looks for a prefix then), or of one name whatever its case.
const ALL: i32 = 0;
const CASE_INSENSITIVE: i32 = 2;
/// `MethodSemanticsAttributes.Setter` and `Getter`
pub(super) const SETTER: u16 = 1;
pub(super) const GETTER: u16 = 2;
/// `MethodSemanticsAttributes.Adder`, `Remover`, `Raiser`
const EVENT_ACCESSORS: [u16; 3] = [8, 0x10, 0x20];

/// What is asked for.
struct Query {
    name: Option<String>,
    ignore_case: bool,
    flags: i32,
}

impl Query {
    fn new(name: *const c_char, flags: i32, list_type: i32) -> Query {
        let ignore_case = list_type == CASE_INSENSITIVE || flags & binding::IGNORE_CASE != 0;
        Query { name: text_at(name).filter(|_| list_type != ALL), ignore_case, flags }
    }

    fn wants(&self, flag: i32) -> bool {
        self.flags & flag != 0
    }

    fn matches_name(&self, name: &str) -> bool {
        match &self.name {
            None => true,
            Some(wanted) if self.ignore_case => wanted.eq_ignore_ascii_case(name) || wanted.to_lowercase() == name.to_lowercase(),
            Some(wanted) => wanted == name,
        }
    }

    /// Whether a method's accessibility and staticness are asked for; `own`: it is declared by the very type.
    fn matches_method(&self, attributes: u16, own: bool) -> bool {
        let is_visible = match attributes & method_attributes::ACCESS {
            method_attributes::PUBLIC => self.wants(binding::PUBLIC),
            method_attributes::PRIVATE => self.wants(binding::NON_PUBLIC) && own,
            _ => self.wants(binding::NON_PUBLIC),
        };
        is_visible && self.matches_staticness(attributes & method_attributes::STATIC != 0, own)
    }

    fn matches_staticness(&self, is_static: bool, own: bool) -> bool {
        match is_static {
            true => self.wants(binding::STATIC) && (own || self.wants(binding::FLATTEN_HIERARCHY)),
            false => self.wants(binding::INSTANCE),
        }
    }
}

/// The members whose lists are kept.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Members {
    Methods,
    Constructors,
    Fields,
    Properties,
}

/// What the class library asks for.
#[derive(PartialEq, Eq, Hash)]
struct Question {
    ty: TypeId,
    members: Members,
    flags: i32,
    list_type: i32,
    /// As it was passed, if one was.
    name: Option<SmallVec<[u8; 32]>>,
}

/// Longer lists of handles are not kept.
const LONGEST_LIST: usize = 256;

static ANSWERS: LazyLock<Answers<Question, usize>> = LazyLock::new(Answers::new);

/// The pointer array with the handles of the members that are asked for; `find` lists them if nobody asked lately.
fn listed(
    this: ObjectRef,
    members: Members,
    name: *const c_char,
    flags: i32,
    list_type: i32,
    find: impl FnOnce(TypeId, &Query) -> Result<Vec<usize>>,
) -> Result<isize> {
    let ty = type_of(this)?;
    // SAFETY: the class library passes zero-terminated texts.
    let text = (!name.is_null()).then(|| SmallVec::from_slice(unsafe { CStr::from_ptr(name) }.to_bytes()));
    let question = Question { ty, members, flags, list_type, name: text };
    if let Some(known) = ANSWERS.find(&question) {
        return pointer_array(&known);
    }
    let handles = find(ty, &Query::new(name, flags, list_type))?;
    if handles.len() <= LONGEST_LIST {
        ANSWERS.add(question, handles.as_slice().into());
    }
    pointer_array(&handles)
}

/// The types whose members are listed: the type, and its bases unless only declared members are asked for.
fn lineage(ty: TypeId, query: &Query) -> Result<Vec<TypeId>> {
    if is_bare(ty) {
        return Ok(Vec::new());
    }
    let mut lineage = vec![ty];
    if !query.wants(binding::DECLARED_ONLY) {
        let mut current = ty;
        while let Some(base) = base_type(current)? {
            lineage.push(base);
            current = base;
        }
    }
    Ok(lineage)
}

/// The methods that a type declares, those of arrays included.
fn declared_methods(ty: TypeId) -> Vec<MethodId> {
    let types = &runtime().types;
    let (rank, is_vector) = match *types.kind(ty) {
        TypeKind::SzArray(_) => (1, true),
        TypeKind::Array { rank, .. } => (rank, false),
        _ => return types.methods_of(ty),
    };
    let mut kinds = vec![ArrayMethod::Constructor(rank)];
    // With lower bounds, or with the length of the arrays in a vector of arrays.
    if !is_vector || types.element_type(ty).is_some_and(|element| types.array_rank(element).is_some()) {
        kinds.push(ArrayMethod::Constructor(2 * rank));
    }
    kinds.extend([ArrayMethod::Get, ArrayMethod::Address, ArrayMethod::Set]);
    kinds.into_iter().map(|kind| types.array_method(ty, kind)).collect()
}

extern "C" fn methods(this: ObjectRef, name: *const c_char, flags: i32, list_type: i32) -> isize {
    raising(|| listed(this, Members::Methods, name, flags, list_type, find_methods))
}

fn find_methods(ty: TypeId, query: &Query) -> Result<Vec<usize>> {
    let types = &runtime().types;
    let mut found = Vec::new();
    let mut overridden_slots = FxHashSet::default();
    for class in lineage(ty, query)? {
        let has_slots = types.header(class).is_ok_and(|header| !header.is_interface());
        for method in declared_methods(class) {
            let attributes = types.method(method).attributes;
            if attributes & method_attributes::VIRTUAL != 0 && has_slots {
                if let Ok(Some(slot)) = types.vtable_slot(method) {
                    if overridden_slots.contains(&slot) {
                        continue;
                    }
                    if attributes & method_attributes::NEW_SLOT == 0 {
                        overridden_slots.insert(slot);
                    }
                }
            }
            if query.matches_method(attributes, class == ty)
                && query.matches_name(types.method_name(method))
                && !is_constructor(method)
            {
                found.push(handles::from_method(method));
            }
        }
    }
    Ok(found)
}

extern "C" fn constructors(this: ObjectRef, flags: i32) -> isize {
    raising(|| {
        listed(this, Members::Constructors, std::ptr::null(), flags | binding::DECLARED_ONLY, ALL, |ty, query| {
            let types = &runtime().types;
            let mut found = Vec::new();
            for class in lineage(ty, query)? {
                let matches =
                    |&method: &MethodId| is_constructor(method) && query.matches_method(types.method(method).attributes, true);
                found.extend(declared_methods(class).into_iter().filter(matches).map(handles::from_method));
            }
            Ok(found)
        })
    })
}

extern "C" fn fields(this: ObjectRef, name: *const c_char, flags: i32, list_type: i32) -> isize {
    raising(|| listed(this, Members::Fields, name, flags, list_type, find_fields))
}

fn find_fields(ty: TypeId, query: &Query) -> Result<Vec<usize>> {
    /// `FieldAttributes.FieldAccessMask`, `Private`, `Public`
    const ACCESS: u16 = 7;
    const PRIVATE: u16 = 1;
    const PUBLIC: u16 = 6;
    let types = &runtime().types;
    let mut found = Vec::new();
    for class in lineage(ty, query)? {
        let own = class == ty;
        for &field in types.fields_of(class)? {
            let declaration = types.field(field);
            let is_visible = match declaration.attributes & ACCESS {
                PUBLIC => query.wants(binding::PUBLIC),
                PRIVATE => query.wants(binding::NON_PUBLIC) && own,
                _ => query.wants(binding::NON_PUBLIC),
            };
            if is_visible && query.matches_staticness(declaration.is_static(), own) && query.matches_name(types.field_name(field))
            {
                found.push(handles::from_field(field));
            }
        }
    }
    Ok(found)
}

/// The accessor of a property (or event) of this sort, on `owner`.
pub(super) fn accessor(owner: TypeId, assembly: AssemblyId, association: Token, semantics: u16) -> Option<MethodId> {
    let types = &runtime().types;
    let mut rows = types.metadata(assembly).method_semantics_of(association);
    let row: MethodSemanticsRow = rows.find(|row| row.semantics & semantics != 0)?;
    Some(types.method_on(owner, row.method))
}

extern "C" fn properties(this: ObjectRef, name: *const c_char, flags: i32, list_type: i32) -> isize {
    raising(|| listed(this, Members::Properties, name, flags, list_type, find_properties))
}

/// Whether the accessor `derived` stands for `base`: it overrides it or has its signature. Accessors of one definition are compared as that declares
/// them, so that what differs there is not taken for the same in an instance.
fn is_same_accessor(derived: MethodId, base: MethodId) -> Result<bool> {
    let types = &runtime().types;
    let slot = |method| if types.method(method).is_virtual() { types.vtable_slot(method).ok().flatten() } else { None };
    if slot(derived).is_some_and(|own| slot(base) == Some(own)) {
        return Ok(true);
    }
    let definition = |method| types.generic_definition_type(types.method(method).owner);
    let (derived, base) = match definition(derived) == definition(base) {
        true => (types.generic_definition(derived), types.generic_definition(base)),
        false => (derived, base),
    };
    Ok(types.method_signature(derived)? == types.method_signature(base)?)
}

fn find_properties(ty: TypeId, query: &Query) -> Result<Vec<usize>> {
    let types = &runtime().types;
    let mut found = Vec::new();
    // A property hides those of base classes with the same name and accessors.
    let mut listed: FxHashMap<&str, Vec<[Option<MethodId>; 2]>> = FxHashMap::default();
    for class in lineage(ty, query)? {
        let Some((assembly, row)) = types.definition_of(class) else { continue };
        let metadata = types.metadata(assembly);
        for row in metadata.properties_of(row) {
            let columns: PropertyRow = metadata.row(row)?;
            let name = metadata.string(columns.name);
            let token = Token::new(TableId::Property, row);
            let own = class == ty;
            let accessors = [GETTER, SETTER].map(|semantics| accessor(class, assembly, token, semantics));
            let attributes: Vec<u16> = accessors.into_iter().flatten().map(|method| types.method(method).attributes).collect();
            let is_public = |&attributes: &u16| attributes & method_attributes::ACCESS == method_attributes::PUBLIC;
            let is_visible = match attributes.iter().any(is_public) {
                true => query.wants(binding::PUBLIC),
                false => attributes.iter().any(|&attributes| query.matches_method(attributes, own)),
            };
            let is_static = attributes.iter().any(|attributes| attributes & method_attributes::STATIC != 0);
            if !is_visible || !query.matches_staticness(is_static, own) || !query.matches_name(name) {
                continue;
            }
            let known = listed.entry(name).or_default();
            let mut is_hidden = false;
            for derived in &*known {
                let mut is_same = true;
                for pair in derived.iter().zip(accessors) {
                    if let (Some(derived), Some(base)) = pair {
                        is_same &= is_same_accessor(*derived, base)?;
                    }
                }
                is_hidden |= is_same;
            }
            if !is_hidden {
                known.push(accessors);
                found.push(property_handle(class, row));
            }
        }
    }
    Ok(found)
}

extern "C" fn events(this: ObjectRef, name: *const c_char, list_type: i32) -> isize {
    raising(|| {
        let types = &runtime().types;
        let ty = type_of(this)?;
        let query = Query::new(name, 0, list_type);
        let mut found = Vec::new();
        let mut hidden = FxHashSet::default();
        for class in lineage(ty, &query)? {
            let Some((assembly, row)) = types.definition_of(class) else { continue };
            let metadata = types.metadata(assembly);
            for row in metadata.events_of(row) {
                let columns: EventRow = metadata.row(row)?;
                let name = metadata.string(columns.name);
                // Of an inherited event some accessor must be seen here.
                let token = Token::new(TableId::Event, row);
                let is_inherited = |&semantics: &u16| {
                    accessor(class, assembly, token, semantics).is_some_and(|method| {
                        types.method(method).attributes & method_attributes::ACCESS != method_attributes::PRIVATE
                    })
                };
                if class != ty && !EVENT_ACCESSORS.iter().any(is_inherited) {
                    continue;
                }
                if query.matches_name(name) && hidden.insert(name.to_owned()) {
                    found.push(event_handle(class, row));
                }
            }
        }
        pointer_array(&found)
    })
}

extern "C" fn nested_types(this: ObjectRef, name: *const c_char, flags: i32, list_type: i32) -> isize {
    const NESTED_PUBLIC: u32 = 2;
    raising(|| {
        let types = &runtime().types;
        let query = Query::new(name, flags, list_type);
        let mut found = Vec::new();
        for nested in types.nested_types(type_of(this)?) {
            // One that cannot be loaded is left out.
            let Ok(header) = types.header(nested) else { continue };
            let is_public = header.attributes & type_attributes::VISIBILITY == NESTED_PUBLIC;
            let wanted = if is_public { binding::PUBLIC } else { binding::NON_PUBLIC };
            if query.wants(wanted) && query.matches_name(types.simple_name(nested).1) {
                found.push(handles::from_type(nested));
            }
        }
        pointer_array(&found)
    })
}

pub(in crate::icalls) const TABLE: &[InternalCall] = &[
    icall("System.RuntimeType:GetMethodsByName_native", methods as *const ()),
    icall("System.RuntimeType:GetConstructors_native", constructors as *const ()),
    icall("System.RuntimeType:GetFields_native", fields as *const ()),
    icall("System.RuntimeType:GetPropertiesByName_native", properties as *const ()),
    icall("System.RuntimeType:GetEvents_native", events as *const ()),
    icall("System.RuntimeType:GetNestedTypes_native", nested_types as *const ()),
];

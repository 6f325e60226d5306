//! Virtual tables of classes (ECMA-335 II.10.3, II.12.2).
//!
//! Which method goes into which slot is worked out on the open definition of a generic type, once for all its instances: there,
//! overloads that differ by a type parameter cannot be confused.

use rustc_hash::FxHashMap;

use super::methods::method_attributes as attributes;
use super::*;
use crate::error::{ErrorKind, Result};
use crate::signature::{MethodSig, TypeSig};
use crate::tables::{MethodDefRow, TableId, TypeDefRow, TypeSpecRow};

/// The virtual slots of a class.
#[derive(Debug, Default)]
pub struct VTable {
    /// The method that a call through each slot reaches; generic ones open.
    pub slots: Box<[MethodId]>,
    /// MethodDef row and slot of the virtual methods declared here, in order of rows.
    declared: Box<[(u32, u32)]>,
    /// Slots filled here by explicit overrides (open methods), after `declared`.
    explicit: Box<[(u32, MethodId)]>,
    /// Explicit implementations of interface methods: declaration and body, both in terms of the open definition.
    pub(crate) interface_overrides: Box<[(MethodId, MethodId)]>,
    /// Hashes of the names of the methods in `slots`.
    names: Box<[u32]>,
}

impl VTable {
    fn slot_of_row(&self, row: u32) -> Option<u32> {
        let index = self.declared.binary_search_by_key(&row, |&(row, _)| row).ok()?;
        Some(self.declared[index].1)
    }
}

/// A custom modifier in a method's signature.
#[derive(PartialEq, Eq)]
struct Modifier {
    /// Number of the parameter, counted from 1; 0 for the result.
    place: u32,
    /// How many types it stands within.
    depth: u32,
    /// `modreq`, not `modopt`.
    required: bool,
    modifier: TypeId,
}

/// Type arguments as the signature of an assembly has them, with custom modifiers.
type ModifiedArguments = (AssemblyId, Box<[TypeSig]>);

/// Whether a signature may have custom modifiers, `ELEMENT_TYPE_CMOD_REQD` and `OPT`; other bytes may be the same, which costs a look only.
fn may_have_modifiers(blob: &[u8]) -> bool {
    blob.iter().any(|byte| matches!(byte, 0x1f | 0x20))
}

impl TypeSystem {
    /// The virtual slots of a class, value type (as a boxed object) or array; of an interface its own methods in order.
    pub fn vtable(&self, t: TypeId) -> Result<&VTable> {
        self.entry(t).vtable.get_or(|| match self.kind(t) {
            TypeKind::Instance { definition, .. } => self.instantiate_vtable(t, *definition),
            TypeKind::Class { .. } | TypeKind::Primitive(_) | TypeKind::TypedReference => self.build_vtable(t),
            _ => match self.header(t)?.parent {
                Some(parent) => {
                    let base = self.vtable(parent)?;
                    Ok(VTable { slots: base.slots.clone(), names: base.names.clone(), ..VTable::default() })
                }
                None => Ok(VTable::default()),
            },
        })
    }

    /// The slot of a virtual method in the table of its owner and of all classes derived from that.
    pub fn vtable_slot(&self, m: MethodId) -> Result<Option<u32>> {
        let method = self.method(m);
        match method.row() {
            Some(row) if method.is_virtual() => Ok(self.vtable(self.generic_definition_type(method.owner))?.slot_of_row(row)),
            _ => Ok(None),
        }
    }

    /// The table of an instance: that of the definition with the arguments filled in.
    fn instantiate_vtable(&self, t: TypeId, definition: TypeId) -> Result<VTable> {
        let open = self.vtable(definition)?;
        let context = self.type_context(t);
        let parent = match self.header(t)?.parent {
            Some(parent) => Some(self.vtable(parent)?),
            None => None,
        };
        let mut slots = parent.map_or(Vec::new(), |parent| parent.slots.to_vec());
        slots.resize(open.slots.len(), MethodId(0));
        for &(row, slot) in &open.declared {
            slots[slot as usize] = self.method_on(t, row);
        }
        for &(slot, body) in &open.explicit {
            slots[slot as usize] = self.rebase(body, definition, t, &context);
        }
        Ok(VTable { slots: slots.into(), names: open.names.clone(), ..VTable::default() })
    }

    /// A method in terms of the open `definition`, on its instance `t`.
    pub(crate) fn rebase(&self, m: MethodId, definition: TypeId, t: TypeId, context: &GenericContext<'_>) -> MethodId {
        let method = self.method(m);
        if method.owner == definition {
            self.instantiate_method(m, t, &method.method_args)
        } else {
            self.substitute_method(m, context)
        }
    }

    fn build_vtable(&self, t: TypeId) -> Result<VTable> {
        let header = self.header(t)?;
        let metadata = self.metadata(header.assembly);
        let parent = match header.parent {
            Some(parent) => Some(self.vtable(parent)?),
            None => None,
        };
        let mut slots = parent.map_or(Vec::new(), |parent| parent.slots.to_vec());
        let mut names = parent.map_or(Vec::new(), |parent| parent.names.to_vec());
        let inherited = slots.len();
        let mut declared = Vec::new();
        for row in metadata.methods_of(header.row) {
            let method: MethodDefRow = metadata.row(row)?;
            if method.flags & (attributes::VIRTUAL | attributes::STATIC) != attributes::VIRTUAL {
                continue;
            }
            let name = metadata.string_bytes(method.name);
            let hash = name_hash(name);
            let id = self.method_on(t, row);
            let is_new = method.flags & attributes::NEW_SLOT != 0 || header.is_interface();
            let overridden = match is_new {
                true => None,
                false => self.find_overridden(t, id, hash, &slots[..inherited], &names)?,
            };
            let slot = match overridden {
                Some(slot) => {
                    if self.method(slots[slot]).is_final() {
                        return Err(self.load_error(t, "it overrides a final method"));
                    }
                    slots[slot] = id;
                    slot
                }
                None => {
                    slots.push(id);
                    names.push(hash);
                    slots.len() - 1
                }
            };
            declared.push((row, slot as u32));
        }
        declared.sort_unstable();
        let mut vtable = VTable { declared: declared.into(), ..VTable::default() };
        self.apply_method_impls(t, header, parent, &mut vtable, &mut slots)?;
        if !header.is_abstract() && !header.is_interface() {
            if let Some(slot) = slots.iter().position(|&m| self.method(m).is_abstract()) {
                let name = self.type_name(t);
                return Err(self.load_error(t, &format!("Type {name} has invalid vtable method slot {slot} with method none")));
            }
        }
        vtable.slots = slots.into();
        vtable.names = names.into();
        Ok(vtable)
    }

    /// The last inherited slot whose method has the same name and signature and is accessible.
    fn find_overridden(&self, t: TypeId, id: MethodId, hash: u32, slots: &[MethodId], names: &[u32]) -> Result<Option<usize>> {
        let name = self.method_name(id);
        let assembly = self.method(id).assembly;
        for slot in (0..slots.len()).rev() {
            if names[slot] != hash || self.method_name(slots[slot]) != name {
                continue;
            }
            let candidate = self.method(slots[slot]);
            let is_hidden = match candidate.attributes & attributes::ACCESS {
                attributes::PRIVATE => true,
                attributes::ASSEMBLY | attributes::FAMILY_AND_ASSEMBLY => {
                    candidate.assembly != assembly && !self.is_friend(candidate.assembly, assembly)
                }
                _ => false,
            };
            if !is_hidden && self.have_same_signature(t, id, slots[slot])? {
                return Ok(Some(slot));
            }
        }
        Ok(None)
    }

    /// Whether a method of `t` has the signature of an inherited one. Nearly always their blobs tell, without any type being resolved.
    fn have_same_signature(&self, t: TypeId, a: MethodId, b: MethodId) -> Result<bool> {
        let (first, second) = (self.method(a), self.method(b));
        if let (true, Some(first_row), Some(second_row)) = (first.assembly == second.assembly, first.row(), second.row()) {
            let metadata = self.metadata(first.assembly);
            let blob = |row| metadata.blob(metadata.row::<MethodDefRow>(row)?.signature);
            let (first_blob, second_blob) = (blob(first_row)?, blob(second_row)?);
            // Convention, then number of parameters (of a generic method, of type parameters).
            if first_blob.get(..2) != second_blob.get(..2) {
                return Ok(false);
            }
            let is_open = self.type_args(first.owner).is_empty() && self.type_args(second.owner).is_empty();
            if is_open && first_blob == second_blob && self.generic_params(second.owner)?.is_empty() {
                return Ok(true);
            }
        }
        if !self.method_signature(a)?.matches(self.method_signature(b)?) {
            return Ok(false);
        }
        let arguments = self.modified_arguments(t, second.owner)?;
        Ok(self.modifiers_of(a, None)? == self.modifiers_of(b, arguments.as_ref())?)
    }

    /// The type arguments that a base class of `t` is named with, where custom modifiers stand in them: instantiation adds these to those of
    /// the parameters' uses.
    fn modified_arguments(&self, t: TypeId, base: TypeId) -> Result<Option<ModifiedArguments>> {
        if self.type_args(base).is_empty() {
            return Ok(None);
        }
        let mut class = t;
        while let Some(parent) = self.header(class)?.parent {
            if parent == base {
                let Some((assembly, row)) = self.definition_of(class) else { return Ok(None) };
                let metadata = self.metadata(assembly);
                let extends = metadata.row::<TypeDefRow>(row)?.extends;
                if extends.table() != Some(TableId::TypeSpec) {
                    return Ok(None);
                }
                let blob = metadata.blob(metadata.row_of::<TypeSpecRow>(extends)?.signature)?;
                if !may_have_modifiers(blob) {
                    return Ok(None);
                }
                return Ok(match TypeSig::parse(blob).map_err(|error| metadata.locate(error))? {
                    TypeSig::GenericInst { arguments, .. } => Some((assembly, arguments)),
                    _ => None,
                });
            }
            class = parent;
        }
        Ok(None)
    }

    /// The custom modifiers in a method's signature. They are part of the signature (II.7.1.1), though no types here have them.
    fn modifiers_of(&self, id: MethodId, arguments: Option<&ModifiedArguments>) -> Result<Vec<Modifier>> {
        let method = self.method(id);
        let Some(row) = method.row() else { return Ok(Vec::new()) };
        let metadata = self.metadata(method.assembly);
        let blob = metadata.blob(metadata.row::<MethodDefRow>(row)?.signature)?;
        if arguments.is_none() && !may_have_modifiers(blob) {
            return Ok(Vec::new());
        }
        self.modifiers_in(method.assembly, blob, arguments)
    }

    fn modifiers_in(&self, assembly: AssemblyId, blob: &[u8], arguments: Option<&ModifiedArguments>) -> Result<Vec<Modifier>> {
        let signature = MethodSig::parse(blob).map_err(|error| self.metadata(assembly).locate(error))?;
        let mut found = Vec::new();
        for (place, ty) in std::iter::once(&signature.ret).chain(&signature.params).enumerate() {
            self.collect_modifiers(assembly, ty, place as u32, 0, arguments, &mut found)?;
        }
        Ok(found)
    }

    /// Of the methods that `found` and its like-named neighbours with the same signature are, the one with the custom modifiers of a
    /// reference's signature; `found` itself if none has them.
    pub(super) fn with_same_modifiers(&self, found: MethodId, assembly: AssemblyId, blob: &[u8]) -> Result<MethodId> {
        let method = self.method(found);
        let Some((owner_assembly, type_row)) = self.definition_of(method.owner) else { return Ok(found) };
        let Some(row) = method.row() else { return Ok(found) };
        let metadata = self.metadata(owner_assembly);
        let own_blob = metadata.blob(metadata.row::<MethodDefRow>(row)?.signature)?;
        if !may_have_modifiers(blob) && !may_have_modifiers(own_blob) {
            return Ok(found);
        }
        let wanted = self.modifiers_in(assembly, blob, None)?;
        let (name, signature) = (self.method_name(found), self.method_signature(found)?);
        for row in metadata.methods_of(type_row).filter(|&other| other >= row) {
            let other = self.method_on(method.owner, row);
            if self.method_name(other) == name
                && self.method_signature(other).is_ok_and(|other| other.matches(signature))
                && self.modifiers_of(other, None)? == wanted
            {
                return Ok(other);
            }
        }
        Ok(found)
    }

    fn collect_modifiers(
        &self,
        assembly: AssemblyId,
        ty: &TypeSig,
        place: u32,
        depth: u32,
        arguments: Option<&ModifiedArguments>,
        found: &mut Vec<Modifier>,
    ) -> Result<()> {
        match ty {
            TypeSig::Modified { required, modifier, inner } => {
                let modifier = self.resolve_type(assembly, *modifier, &GenericContext::EMPTY)?;
                found.push(Modifier { place, depth, required: *required, modifier });
                self.collect_modifiers(assembly, inner, place, depth, arguments, found)
            }
            TypeSig::Ptr(inner) | TypeSig::SzArray(inner) | TypeSig::Array(inner, _) => {
                self.collect_modifiers(assembly, inner, place, depth + 1, arguments, found)
            }
            // Mono does not tell modifiers of a reference from those of what it refers to.
            TypeSig::ByRef(inner) => self.collect_modifiers(assembly, inner, place, depth, arguments, found),
            TypeSig::Var(number) => match arguments {
                Some((assembly, list)) => match list.get(*number as usize) {
                    Some(argument) => self.collect_modifiers(*assembly, argument, place, depth, None, found),
                    None => Ok(()),
                },
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Applies the explicit overrides that a type lists (II.22.27).
    fn apply_method_impls(
        &self,
        t: TypeId,
        header: &ClassHeader,
        parent: Option<&VTable>,
        vtable: &mut VTable,
        slots: &mut [MethodId],
    ) -> Result<()> {
        let mut explicit = Vec::new();
        let mut interface_overrides = Vec::new();
        for row in self.metadata(header.assembly).method_impls_of(header.row) {
            let resolve = |token| match self.resolve_method(header.assembly, token, &GenericContext::EMPTY) {
                Err(error) if error.kind() == ErrorKind::MissingMethod => {
                    let message = format!("Could not load list of method overrides due to {}", error.message());
                    Err(self.load_error(t, &message))
                }
                resolved => resolved,
            };
            let (declaration, body) = (resolve(row.declaration)?, resolve(row.body)?);
            // Within a generic type, its own methods are also referred to through its instance over its own parameters.
            let body =
                if self.generic_definition_type(self.method(body).owner) == t { self.generic_definition(body) } else { body };
            let owner = self.method(declaration).owner;
            if !self.method(body).is_virtual() {
                return Err(self.load_error(t, "Method must be virtual to override a base type"));
            }
            if self.is_interface(owner) {
                if owner != t && !self.interfaces(t)?.contains(&owner) {
                    return Err(self.load_error(t, FOREIGN_OVERRIDE));
                }
                interface_overrides.push((declaration, body));
                continue;
            }
            let own = self.generic_definition_type(owner) == t;
            let slot = match (own, self.method(declaration).row()) {
                (true, Some(row)) => vtable.slot_of_row(row),
                _ => self.vtable_slot(declaration)?,
            };
            let is_known = own || parent.is_some_and(|parent| slot.is_some_and(|slot| (slot as usize) < parent.slots.len()));
            match slot {
                Some(slot) if is_known && (slot as usize) < slots.len() => {
                    slots[slot as usize] = body;
                    explicit.push((slot, body));
                }
                _ => return Err(self.load_error(t, FOREIGN_OVERRIDE)),
            }
        }
        vtable.explicit = explicit.into();
        vtable.interface_overrides = interface_overrides.into();
        Ok(())
    }
}

const FOREIGN_OVERRIDE: &str = "Method overrides a class or interface that is not extended or implemented by this type";

fn name_hash(name: &[u8]) -> u32 {
    name.iter().fold(0x811c_9dc5, |hash, &byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// Which method a class calls for an interface method, as found so far.
pub(crate) type DispatchMap = FxHashMap<(TypeId, MethodId), Option<MethodId>>;

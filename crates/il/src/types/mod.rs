//! The type system over loaded assemblies: interned types, methods and fields, layouts, virtual tables, interface dispatch,
//! casting and generics, all parametric in a [`DataLayout`]. It knows no instruction set and holds no run-time state.
//!
//! Everything is loaded on first use and kept for good, but for methods that the program makes while it runs ([`TypeSystem::empty_assembly`]); a [`TypeSystem`] is shared by reference among threads. Types are loaded in
//! levels, each of which needs only lower ones of other types, so that recursive types pose no problem: [`TypeKind`] (identity),
//! [`ClassHeader`] (inheritance), interfaces, [`Class`] (instance layout), [`Statics`], [`VTable`].

mod access;
mod assemblies;
mod cast;
mod class;
mod com;
mod constraints;
mod dispatch;
mod fields;
mod intern;
mod kind;
mod layout;
mod methods;
mod names;
mod resolve;
mod statics;
mod store;
#[cfg(test)]
mod tests;
mod vtable;
mod well_known;

use parking_lot::RwLock;
use std::path::Path;
use std::sync::OnceLock;

use crate::assembly::AssemblyName;
use crate::binding::BindingPolicy;
use crate::error::Result;
use crate::resolve::AssemblyResolver;

pub use assemblies::{Bindings, LoadContext, LoadListener, MADE_TYPE_ROW, file_attributes};
pub use class::{ClassHeader, ClassKind, NESTING_LIMIT, type_attributes};
pub use com::com_slots;
pub use dispatch::INTERFACE_SLOTS;
pub use fields::{Class, Field, FieldLocation, StaticHolder, field_attributes};
pub use kind::*;
pub use layout::*;
pub use methods::{ArrayMethod, Local, Method, MethodKind, method_attributes, method_impl_attributes};
pub use resolve::Member;
pub use statics::Statics;
pub use vtable::VTable;
pub use well_known::WellKnown;

use intern::Interner;

/// All types, methods and fields of a program, and the assemblies they come from.
pub struct TypeSystem {
    layout: DataLayout,
    resolver: AssemblyResolver,
    policy: OnceLock<BindingPolicy>,
    listener: OnceLock<Box<dyn LoadListener>>,
    assemblies: assemblies::Assemblies,
    types: Interner<store::TypeEntry>,
    methods: Interner<methods::MethodEntry>,
    fields: Interner<fields::FieldEntry>,
    dispatch: RwLock<vtable::DispatchMap>,
    /// TypeDef rows of the types with fixed ids; 0 for the stand-in of shared code.
    built_in_rows: [u32; BUILT_IN_COUNT],
    well_known: WellKnown,
}

const BUILT_IN_COUNT: usize = TypeId::STRING.index() + 1;

impl TypeSystem {
    /// A type system for a target; loads the core library that the resolver finds.
    pub fn new(layout: DataLayout, resolver: AssemblyResolver) -> Result<TypeSystem> {
        let path = resolver.resolve(&AssemblyName::simple("mscorlib"), None)?;
        TypeSystem::with_corlib(layout, resolver, &path)
    }

    /// The same with the core library of a file.
    pub fn with_corlib(layout: DataLayout, resolver: AssemblyResolver, path: &Path) -> Result<TypeSystem> {
        let corlib = crate::assembly::Assembly::open(path)?;
        let mut built_in_rows = [0; BUILT_IN_COUNT];
        for primitive in Primitive::ALL {
            built_in_rows[primitive.type_id().index()] = well_known::find_row(&corlib, "System", primitive.class_name())?;
        }
        built_in_rows[TypeId::TYPED_REFERENCE.index()] = well_known::find_row(&corlib, "System", "TypedReference")?;
        built_in_rows[TypeId::OBJECT.index()] = well_known::find_row(&corlib, "System", "Object")?;
        built_in_rows[TypeId::STRING.index()] = well_known::find_row(&corlib, "System", "String")?;

        let mut system = TypeSystem {
            layout,
            resolver,
            policy: OnceLock::new(),
            listener: OnceLock::new(),
            assemblies: assemblies::Assemblies::default(),
            types: Interner::new(),
            methods: Interner::new(),
            fields: Interner::new(),
            dispatch: RwLock::default(),
            built_in_rows,
            well_known: WellKnown::NONE,
        };
        system.load_file(path)?;
        system.intern_built_in_types();
        let corlib_id = system.corlib();
        system.well_known = WellKnown::find(system.assembly(corlib_id), |row| system.type_definition(corlib_id, row))?;
        Ok(system)
    }

    /// Interns the types with fixed ids, in their order.
    fn intern_built_in_types(&self) {
        let assembly = self.corlib();
        for (id, &row) in self.built_in_rows.iter().enumerate() {
            let id = TypeId(id as u32);
            let kind = match id {
                TypeId::TYPED_REFERENCE => TypeKind::TypedReference,
                TypeId::CANON => TypeKind::Canon,
                TypeId::OBJECT | TypeId::STRING => TypeKind::Class { assembly, row },
                _ => TypeKind::Primitive(Primitive::ALL[id.index()]),
            };
            let interned = self.intern_kind(kind);
            debug_assert_eq!(interned, id);
            if let Some(cell) = self.loaded(assembly).type_defs.get(row as usize).filter(|_| row != 0) {
                cell.set(interned.0);
            }
        }
    }

    /// The target's data layout.
    #[inline]
    pub fn layout(&self) -> &DataLayout {
        &self.layout
    }

    /// The layout of heap objects.
    #[inline]
    pub fn object_layout(&self) -> ObjectLayout {
        self.layout.object()
    }

    /// Types known by name.
    #[inline]
    pub fn well_known(&self) -> &WellKnown {
        &self.well_known
    }

    /// Sets the program's policy for loading assemblies, once. Its private paths are absolute.
    pub fn set_policy(&self, policy: BindingPolicy) {
        // The first one stays.
        let _ = self.policy.set(policy);
    }

    /// Sets who is asked and told about assemblies, once.
    pub fn set_listener(&self, listener: Box<dyn LoadListener>) {
        // The first one stays.
        let _ = self.listener.set(listener);
    }

    /// Where assemblies are looked for.
    pub fn resolver(&self) -> &AssemblyResolver {
        &self.resolver
    }
}

impl std::fmt::Debug for TypeSystem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TypeSystem({}, {} assemblies, {} types)", self.layout.name, self.assembly_count(), self.type_count())
    }
}

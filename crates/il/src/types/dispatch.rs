//! From a called method and the class of an object to the method that runs.

use super::methods::method_attributes as attributes;
use super::*;
use crate::error::{Error, ErrorKind, Result};

/// Number of slots of a table for interface dispatch; see [`TypeSystem::imt_slot`].
pub const INTERFACE_SLOTS: u32 = 16;

impl TypeSystem {
    /// The method that a virtual call of `method` runs on an object of `class` (an instantiable class, a boxed value type or an
    /// array). The arguments of a generic method are carried over. A method that is not virtual is the answer itself.
    pub fn resolve_virtual(&self, class: TypeId, method: MethodId) -> Result<MethodId> {
        let called = self.method(method);
        if !called.is_virtual() {
            return Ok(method);
        }
        if self.is_interface(called.owner) {
            return self.resolve_interface_method(class, method);
        }
        let Some(slot) = self.vtable_slot(method)? else {
            return Ok(method);
        };
        match self.vtable(class)?.slots.get(slot as usize) {
            Some(&found) => Ok(self.with_args_of(found, method)),
            None => Err(self.load_error(class, "it does not have the virtual method that is called")),
        }
    }

    /// The open method `found` with the type arguments of `called`.
    fn with_args_of(&self, found: MethodId, called: MethodId) -> MethodId {
        let args = &self.method(called).method_args;
        if args.is_empty() { found } else { self.instantiate_method(found, self.method(found).owner, args) }
    }

    /// The method that implements an interface method in a class, by variance and default implementations if need be. An error of
    /// kind [`ErrorKind::TypeLoad`] if there is none.
    pub fn resolve_interface_method(&self, class: TypeId, method: MethodId) -> Result<MethodId> {
        let called = self.method(method);
        let open = if called.method_args.is_empty() { method } else { self.instantiate_method(method, called.owner, &[]) };
        let key = (class, open);
        let known = self.dispatch.read().get(&key).copied();
        let found = match known {
            Some(found) => found,
            None => {
                let found = self.find_implementation(class, open)?;
                self.dispatch.write().insert(key, found);
                found
            }
        };
        match found {
            Some(found) => Ok(self.with_args_of(found, method)),
            None => {
                let name = self.method_full_name(method);
                Err(self.load_error(class, &format!("it does not implement the interface method {name}")))
            }
        }
    }

    /// Whether a class has code for every virtual method and every method of its interfaces, and its type arguments satisfy the constraints of
    /// its parameters; else it cannot be used. Types of the class libraries are taken to be complete.
    pub fn check_implementations(&self, class: TypeId) -> Result<()> {
        let Some((assembly, _)) = self.definition_of(class) else { return Ok(()) };
        let is_class_library = self.loaded(assembly).is_class_library;
        if is_class_library && !matches!(self.kind(class), TypeKind::Instance { .. }) {
            return Ok(());
        }
        let check = || {
            if !self.satisfies_constraints(class)? {
                return Err(self.load_error(class, "Invalid generic instantiation"));
            }
            if is_class_library { Ok(()) } else { self.find_implementations(class) }
        };
        self.entry(class).complete.get_or(check).map(|_| ())
    }

    fn find_implementations(&self, class: TypeId) -> Result<()> {
        let header = self.header(class)?;
        if header.is_interface() || header.is_abstract() || header.attributes & type_attributes::IMPORT != 0 {
            return Ok(());
        }
        self.vtable(class)?;
        for &interface in self.interfaces(class)? {
            let Some((assembly, row)) = self.definition_of(interface) else { continue };
            for row in self.metadata(assembly).methods_of(row) {
                let method = self.method_on(interface, row);
                // A final abstract one stands for a method of another interface that is made abstract again.
                let data = self.method(method);
                if !data.is_virtual() || data.is_static() || data.is_final() {
                    continue;
                }
                match self.resolve_interface_method(class, method) {
                    // Which of several to take is asked when it is called.
                    // So is what an interface made abstract again.
                    Err(error) if error.kind() == ErrorKind::TypeLoad && !self.is_overridden_by_interface(class, method)? => {
                        let name = self.type_name(class);
                        return Err(Error::type_load(format!("VTable setup of type {name} failed")).with_name(name));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn is_overridden_by_interface(&self, class: TypeId, method: MethodId) -> Result<bool> {
        for &interface in self.interfaces(class)? {
            if interface != self.method(method).owner
                && self.find_declared_implementation_by_override(interface, method)?.is_some()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn find_implementation(&self, class: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let called = self.method(method);
        let interface = called.owner;
        let interfaces = self.interfaces(class)?;
        if interfaces.contains(&interface) {
            if let Some(found) = self.find_exact(class, method)? {
                return Ok(Some(found));
            }
        }
        let definition = self.generic_definition_type(interface);
        if definition == interface {
            return Ok(None);
        }
        // An array is also a collection of whatever its elements can be seen as.
        if let TypeKind::SzArray(_) = self.kind(class) {
            if self.well_known.vector_interfaces.contains(&definition) {
                return self.find_vector_method(class, method);
            }
        }
        for &candidate in interfaces {
            if candidate != interface
                && self.generic_definition_type(candidate) == definition
                && self.is_assignable(candidate, interface)?
            {
                if let Some(found) = self.find_exact(class, self.instantiate_method(method, candidate, &[]))? {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The implementation in `class` of a method of an interface that it has exactly.
    fn find_exact(&self, class: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let interface = self.method(method).owner;
        if let TypeKind::SzArray(_) = self.kind(class) {
            if self.well_known.vector_interfaces.contains(&self.generic_definition_type(interface)) {
                return self.find_vector_method(class, method);
            }
        }
        // From the class towards `object`, as long as the interface is implemented: the first class that says something decides.
        let mut current = class;
        let inherited = loop {
            if let Some(found) = self.find_declared_implementation(current, method)? {
                return Ok(Some(self.latest_override(class, found)?));
            }
            match self.header(current)?.parent {
                Some(parent) if self.interfaces(parent)?.contains(&interface) => current = parent,
                parent => break parent,
            }
        };
        // Then methods that a base class without the interface happens to have.
        let mut base = inherited;
        while let Some(current) = base {
            if let Some(row) = self.find_public_virtual(current, method)? {
                return Ok(Some(self.latest_override(class, self.method_on(current, row))?));
            }
            base = self.header(current)?.parent;
        }
        self.find_default_implementation(class, method)
    }

    /// What a class itself says about an interface method: an explicit implementation, or, if it lists the interface, a public
    /// virtual method of the same name and signature. Compared on the open definition.
    fn find_declared_implementation(&self, class: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let Some(row) = self.method(method).row() else {
            return Ok(None);
        };
        if self.definition_of(class).is_none() {
            return Ok(None);
        }
        let interface = self.method(method).owner;
        let definition = self.generic_definition_type(class);
        let context = self.type_context(class);
        let is_meant = |open_interface: TypeId| self.substitute(open_interface, &context) == interface;
        for &(declaration, body) in &self.vtable(definition)?.interface_overrides {
            let declared = self.method(declaration);
            if declared.row() == Some(row) && is_meant(declared.owner) {
                return Ok(Some(self.rebase(body, definition, class, &context)));
            }
        }
        for &open_interface in self.declared_interfaces(definition)? {
            if is_meant(open_interface) {
                let open = self.method_on(open_interface, row);
                if let Some(found) = self.find_public_virtual(definition, open)? {
                    return Ok(Some(self.method_on(class, found)));
                }
            }
        }
        Ok(None)
    }

    /// MethodDef row of a public virtual method that `class` declares with name and signature of `method`.
    fn find_public_virtual(&self, class: TypeId, method: MethodId) -> Result<Option<u32>> {
        let Some(row) = self.find_declared(class, self.method_name(method), self.method_signature(method)?)? else {
            return Ok(None);
        };
        let flags = self.method(self.method_on(class, row)).attributes;
        let is_eligible = flags & attributes::VIRTUAL != 0 && flags & attributes::ACCESS == attributes::PUBLIC;
        Ok(is_eligible.then_some(row))
    }

    /// What became in `class` of a method of one of its base classes.
    fn latest_override(&self, class: TypeId, method: MethodId) -> Result<MethodId> {
        let slot = if self.is_interface(self.method(method).owner) { None } else { self.vtable_slot(method)? };
        let slots = &self.vtable(class)?.slots;
        Ok(slot.and_then(|slot| slots.get(slot as usize).copied()).unwrap_or(method))
    }

    /// The most specific default implementation of an interface method among the interfaces of `class`.
    fn find_default_implementation(&self, class: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let interface = self.method(method).owner;
        let mut candidates: Vec<(TypeId, MethodId)> = Vec::new();
        for &candidate in self.interfaces(class)? {
            if candidate == interface {
                if !self.method(method).is_abstract() {
                    candidates.push((candidate, method));
                }
            } else if self.interfaces(candidate)?.contains(&interface) {
                if let Some(body) = self.find_declared_implementation_by_override(candidate, method)? {
                    candidates.push((candidate, body));
                }
            }
        }
        let mut specific = Vec::new();
        for &(candidate, body) in &candidates {
            let mut is_hidden = false;
            for &(other, _) in &candidates {
                is_hidden |= other != candidate && self.interfaces(other)?.contains(&candidate);
            }
            if !is_hidden {
                specific.push(body);
            }
        }
        match *specific {
            [] => Ok(None),
            [found] => Ok(Some(found).filter(|&found| !self.method(found).is_abstract())),
            _ => Err(Error::new(
                ErrorKind::AmbiguousImplementation,
                format!(
                    "Could not call method '{}' with type '{}' because there are multiple incompatible interface methods \
                     overriding this method.",
                    self.method_full_name(self.generic_definition(method)),
                    self.type_name(class)
                ),
            )),
        }
    }

    fn find_declared_implementation_by_override(&self, interface: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let definition = self.generic_definition_type(interface);
        let context = self.type_context(interface);
        let called = self.method(method);
        let found = self.vtable(definition)?.interface_overrides.iter().find(|&&(declaration, _)| {
            let declared = self.method(declaration);
            declared.row() == called.row() && self.substitute(declared.owner, &context) == called.owner
        });
        Ok(found.map(|&(_, body)| self.rebase(body, definition, interface, &context)))
    }

    /// Vectors implement the generic collection interfaces through generic methods of `System.Array` whose names begin with
    /// `InternalArray__`: with the interface's name, except for those of `IList`.
    fn find_vector_method(&self, class: TypeId, method: MethodId) -> Result<Option<MethodId>> {
        let interface = self.method(method).owner;
        let (_, full_name) = self.simple_name(interface);
        let interface_name = full_name.split('`').next().unwrap_or(full_name);
        let name = self.method_name(method);
        let target = match interface_name {
            "IList" => format!("InternalArray__{name}"),
            _ => format!("InternalArray__{interface_name}_{name}"),
        };
        let array = self.well_known.array;
        let Some(found) = self.find_method(array, &target, None)? else {
            return Err(Error::new(ErrorKind::MissingMethod, "the core library lacks a method of arrays").with_name(target));
        };
        // The interface's own argument, so that a string[] seen as IList<object> gives objects.
        let element = self.type_args(interface).first().copied().or_else(|| self.element_type(class));
        match (self.method(found).generic_param_count, element) {
            (1, Some(element)) => Ok(Some(self.instantiate_method(found, array, &[element]))),
            _ => Ok(Some(found)),
        }
    }

    /// Which of the [`INTERFACE_SLOTS`] an interface method is called through: a hash of names and generic arity that depends on
    /// nothing else, least of all the order of loading.
    pub fn imt_slot(&self, method: MethodId) -> u32 {
        let cell = &self.methods.get(method.0).interface_slot;
        cell.get_or(|| {
            let mut hash = 0xcbf2_9ce4_8422_2325_u64;
            let mut add = |text: &str| {
                for byte in text.bytes().chain([0]) {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
                }
            };
            let owner = self.method(method).owner;
            let mut current = Some(owner);
            while let Some(t) = current {
                let (namespace, name) = self.simple_name(t);
                add(namespace);
                add(name);
                current = self.declaring_type(t);
            }
            add(self.method_name(method));
            let arity = self.method(method).generic_param_count;
            hash = (hash ^ u64::from(arity)).wrapping_mul(0x0000_0100_0000_01b3);
            // The low bits of a product depend on the low bits of its factors only; fold the high ones in.
            ((hash ^ hash >> 32 ^ hash >> 47) % u64::from(INTERFACE_SLOTS)) as u32
        })
    }
}

//! Application domains: each has method tables, statics, compiled code, type objects and interned strings of its own, while assemblies,
//! types and methods (what they *are*) belong to the process.
//!
//! A thread is in one domain at a time, that of its innermost managed frame: code, cells and method tables of a domain only ever meet
//! their own kind. It changes domains in [`enter`] alone; what passes the border is serialised by the class library, or copied by
//! [`crate::domain_copy`].

use crate::aot::Images;
use crate::cells::Cells;
use crate::delegates::DelegateStubs;
use crate::generic_dictionary::LookupCache;
use crate::icalls::app_domains::DomainObjects;
use crate::icalls::reflection::ReflectionObjects;
use crate::icalls::threads;
use crate::id_table::IdTable;
use crate::method_table::MethodTable;
use crate::methods::Methods;
use crate::object::{Object, ObjectRef};
use crate::proxies::Proxies;
use crate::strings::InternedStrings;
use crate::thread::{ROOT_CONTEXT, ROOT_MANAGED_THREAD, Thread};
use crate::{roots, runtime};
use il::types::AssemblyId;
use parking_lot::{Mutex, ReentrantMutex, RwLock};
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

/// Number of the domain that the program starts in.
pub const ROOT_DOMAIN: i32 = 1;

/// How far a domain's end has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
#[repr(u8)]
pub enum DomainState {
    /// In use.
    Live = 0,
    /// Its threads and finalisers come to an end.
    Unloading = 1,
    /// Nothing of it runs any more.
    Unloaded = 2,
}

/// A domain.
pub struct Domain {
    /// Its number.
    pub id: i32,
    /// Its name.
    pub name: RwLock<String>,
    state: AtomicU8,
    /// Code compiled ahead of time.
    pub images: Images,
    /// What the cells are.
    pub cells: Cells,
    /// Methods.
    pub methods: Methods,
    /// Held while a method's entry is made.
    pub methods_lock: ReentrantMutex<()>,
    /// Held while the statics of a class are put in place.
    pub statics_lock: Mutex<()>,
    /// Method tables by type.
    pub method_tables: IdTable<AtomicPtr<MethodTable>>,
    /// `System.RuntimeType` objects by type.
    pub type_objects: IdTable<AtomicPtr<Object>>,
    /// Answers of generic lookups.
    pub lookup_cache: LookupCache,
    /// Interned strings.
    pub interned: Mutex<InternedStrings>,
    /// Code of delegates.
    pub delegate_stubs: DelegateStubs,
    /// Transparent proxies.
    pub proxies: Proxies,
    /// What the class library's `AppDomain` needs.
    pub objects: DomainObjects,
    /// Reflection objects.
    pub reflection: ReflectionObjects,
    /// The assemblies in use, in the order in which they were loaded.
    pub assemblies: RwLock<Vec<AssemblyId>>,
}

/// All domains of a process, by number from [`ROOT_DOMAIN`].
#[derive(Default)]
pub struct Domains {
    all: boxcar::Vec<&'static Domain>,
}

impl Domains {
    /// Makes a domain.
    pub fn create(&self, name: String) -> &'static Domain {
        let number = self.all.push_with(|index| {
            Box::leak(Box::new(Domain {
                id: index as i32 + ROOT_DOMAIN,
                name: RwLock::new(name),
                state: AtomicU8::new(DomainState::Live as u8),
                images: Images::default(),
                cells: Cells::default(),
                methods: Methods::default(),
                methods_lock: ReentrantMutex::new(()),
                statics_lock: Mutex::new(()),
                method_tables: IdTable::new(),
                type_objects: IdTable::new(),
                lookup_cache: LookupCache::default(),
                interned: Mutex::new(InternedStrings::default()),
                delegate_stubs: DelegateStubs::default(),
                proxies: Proxies::default(),
                objects: DomainObjects::default(),
                reflection: ReflectionObjects::default(),
                assemblies: RwLock::default(),
            }))
        });
        self.all[number]
    }

    /// The domain with this number, unless it is unloaded.
    pub fn find(&self, id: i32) -> Option<&'static Domain> {
        let index = usize::try_from(id - ROOT_DOMAIN).ok()?;
        self.all.get(index).copied().filter(|domain| domain.state() != DomainState::Unloaded)
    }

    /// All that are not unloaded.
    pub fn iter(&self) -> impl Iterator<Item = &'static Domain> {
        self.all.iter().map(|(_, &domain)| domain).filter(|domain| domain.state() != DomainState::Unloaded)
    }
}

impl Domain {
    /// How far its end has come.
    pub fn state(&self) -> DomainState {
        match self.state.load(Ordering::Acquire) {
            0 => DomainState::Live,
            1 => DomainState::Unloading,
            _ => DomainState::Unloaded,
        }
    }

    /// Goes on to a later state; says whether it was in an earlier one.
    pub fn advance(&self, state: DomainState) -> bool {
        self.state.fetch_max(state as u8, Ordering::AcqRel) < state as u8
    }

    /// Whether the program started in it.
    pub fn is_root(&self) -> bool {
        self.id == ROOT_DOMAIN
    }

    /// Notes that an assembly is in use; says whether it was not before.
    pub fn use_assembly(&self, assembly: AssemblyId) -> bool {
        if self.assemblies.read().contains(&assembly) {
            return false;
        }
        let mut assemblies = self.assemblies.write();
        let is_new = !assemblies.contains(&assembly);
        if is_new {
            assemblies.push(assembly);
        }
        is_new
    }
}

/// The domain of the current thread; of one that is not attached, the root domain.
#[inline]
pub fn current() -> &'static Domain {
    match Thread::try_current() {
        Some(thread) => thread.domain,
        None => runtime().root_domain(),
    }
}

/// Runs `body` with the current thread in a domain. No managed reference may pass in or out.
pub fn enter<T>(domain: &'static Domain, body: impl FnOnce() -> T) -> T {
    let thread = Thread::current();
    let before = thread.domain;
    if std::ptr::eq(before, domain) {
        return body();
    }
    // The stack keeps these alive until they are put back.
    let outer = [thread.root(ROOT_MANAGED_THREAD), thread.root(ROOT_CONTEXT)];
    thread.domain = domain;
    threads::note_entry(domain);
    let mut thread_object = |id| *thread.thread_objects.entry(id).or_insert_with(|| roots::allocate_area(1));
    let (own_thread, outer_thread) = (thread_object(domain.id), thread_object(before.id));
    // SAFETY: roots that are never freed.
    let own = unsafe {
        outer_thread.write(outer[0]);
        own_thread.read()
    };
    thread.set_root(ROOT_MANAGED_THREAD, own);
    thread.set_root(ROOT_CONTEXT, ObjectRef::NULL);
    let result = body();
    let thread = Thread::current();
    // SAFETY: likewise.
    unsafe { own_thread.write(thread.root(ROOT_MANAGED_THREAD)) };
    thread.domain = before;
    thread.set_root(ROOT_MANAGED_THREAD, outer[0]);
    thread.set_root(ROOT_CONTEXT, outer[1]);
    threads::note_exit(domain);
    result
}
